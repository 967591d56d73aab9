-- Schema 2: a row an append instead of a row an event, appending as one call, and artifacts elsewhere than in the table.
-- What a study costs is mostly that each of many workers reads what all others append.

CREATE TABLE appends (
    study    BIGINT NOT NULL REFERENCES studies (id) ON DELETE CASCADE,
    revision BIGINT NOT NULL,                                    -- that of its last event: 1, 2, 3, ... within the study
    at_ms    BIGINT NOT NULL,
    events   TEXT   NOT NULL,                                    -- a line of JSON each; NaN and the infinities are text
    digests  BYTEA  NOT NULL,                                    -- 32 bytes each: SHA-256 of the event and all before it
    writing  BIGINT NOT NULL,                                    -- by which the append is known again
    PRIMARY KEY (study, revision)
);

INSERT INTO appends
SELECT study, max(revision), at_ms, string_agg(event, E'\n' ORDER BY revision), string_agg(digest, '' ORDER BY revision), writing
FROM events GROUP BY study, at_ms, writing;

DROP TABLE events;

-- For people: a row an event.
CREATE VIEW events AS
SELECT study, revision - cardinality(lines) + number AS revision, at_ms, event
FROM (SELECT study, revision, at_ms, string_to_array(events, E'\n') AS lines FROM appends) AS split,
     unnest(lines) WITH ORDINALITY AS each (event, number);

-- Where artifacts are kept, if not in the table: one row at most.
CREATE TABLE files (
    place TEXT NOT NULL,                                         -- as the user wrote it
    own   TEXT NOT NULL                                          -- the folder in it that is this database's
);

-- Appends events in one transaction, if the study is still at revision `expected`. `reached` is the revision that it is at
-- then (null where there is no such study), `at_ms` the time that the events have (null where they were refused). Events
-- that are there already with the same `token` came with an append whose answer was lost: that is well, too.
CREATE FUNCTION luthier_append(study_id BIGINT, expected BIGINT, token BIGINT, texts TEXT,
                               OUT reached BIGINT, OUT at_ms BIGINT)
LANGUAGE plpgsql AS $$
DECLARE
    before BYTEA;
    chained BYTEA := '';
    origin TEXT;
    event_text TEXT;
BEGIN
    -- One writer at a time on a study; others may go on.
    SELECT definition INTO origin FROM studies WHERE id = study_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- Only now: what a statement sees is from before it waited for the lock.
    SELECT a.revision, substring(a.digests FROM length(a.digests) - 31) INTO reached, before
    FROM appends a WHERE a.study = study_id ORDER BY a.revision DESC LIMIT 1;
    IF NOT FOUND THEN
        reached := 0;
        before := sha256(convert_to(origin, 'UTF8'));
    END IF;
    IF reached <> expected THEN
        SELECT a.at_ms INTO at_ms FROM appends a WHERE a.study = study_id AND a.revision > expected AND a.writing = token;
        RETURN;
    END IF;
    at_ms := extract(epoch from clock_timestamp()) * 1000;
    IF texts = '' THEN
        RETURN;
    END IF;
    FOREACH event_text IN ARRAY string_to_array(texts, E'\n') LOOP
        reached := reached + 1;
        before := sha256(before || int8send(reached) || int8send(at_ms) || convert_to(event_text, 'UTF8'));
        chained := chained || before;
    END LOOP;
    INSERT INTO appends (study, revision, at_ms, events, digests, writing)
    VALUES (study_id, reached, at_ms, texts, chained, token);
END
$$;
