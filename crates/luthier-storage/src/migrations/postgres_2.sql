-- Schema 2: appending as one call, so that a writer's turn is two messages.

-- Appends events in one transaction, if the study is still at revision `expected`. `reached` is the revision that it is at
-- then (null where there is no such study), `at_ms` the time that the events have (null where they were refused). Events
-- that are there already with the same `token` came with an append whose answer was lost: that is well, too.
CREATE FUNCTION luthier_append(study_id BIGINT, expected BIGINT, token BIGINT, texts TEXT[],
                               OUT reached BIGINT, OUT at_ms BIGINT)
LANGUAGE plpgsql AS $$
DECLARE
    before BYTEA;
    origin TEXT;
    event_text TEXT;
BEGIN
    -- One writer at a time on a study; others may go on.
    SELECT definition INTO origin FROM studies WHERE id = study_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- Only now: what a statement sees is from before it waited for the lock.
    SELECT e.revision, e.digest INTO reached, before
    FROM events e WHERE e.study = study_id ORDER BY e.revision DESC LIMIT 1;
    IF NOT FOUND THEN
        reached := 0;
        before := sha256(convert_to(origin, 'UTF8'));
    END IF;
    IF reached <> expected THEN
        SELECT min(e.at_ms) INTO at_ms
        FROM events e WHERE e.study = study_id AND e.revision > expected AND e.writing = token
        HAVING count(*) = cardinality(texts);
        RETURN;
    END IF;
    at_ms := extract(epoch from clock_timestamp()) * 1000;
    FOREACH event_text IN ARRAY texts LOOP
        reached := reached + 1;
        before := sha256(before || int8send(reached) || int8send(at_ms) || convert_to(event_text, 'UTF8'));
        INSERT INTO events (study, revision, at_ms, event, digest, writing)
        VALUES (study_id, reached, at_ms, event_text, before, token);
    END LOOP;
END
$$;
