-- Schema 1: studies and their events. Everything else is derived from the events.
-- Only what SQLite 3.31 knows, so that older `sqlite3` shells can read the file too.

CREATE TABLE studies (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: folders of files are named by it
    name       TEXT    NOT NULL UNIQUE,
    created_ms INTEGER NOT NULL,                   -- since 1970, UTC
    definition TEXT    NOT NULL                    -- JSON
);

CREATE TABLE events (
    study    INTEGER NOT NULL REFERENCES studies (id) ON DELETE CASCADE,
    revision INTEGER NOT NULL,                     -- 1, 2, 3, ... within the study
    at_ms    INTEGER NOT NULL,
    event    TEXT    NOT NULL,                     -- JSON; NaN and the infinities are text
    digest   BLOB    NOT NULL,                     -- SHA-256 of this event and all before it
    PRIMARY KEY (study, revision)
) WITHOUT ROWID;

-- Studies that are deleted and whose folder of files is still to be removed.
CREATE TABLE discarded_folders (
    study INTEGER PRIMARY KEY
);

-- One row a trial. `value` is that of a complete trial; `outcome` is all that is known of its end.
CREATE VIEW trials AS
SELECT
    study,
    trial,
    coalesce(
        max(CASE WHEN kind = 'trial_stopped' THEN json_extract(event, '$.outcome.state') END),
        max(CASE WHEN kind = 'trial_finished' THEN json_extract(event, '$.outcome.state') END),
        CASE max(CASE WHEN kind IN ('trial_started', 'trial_resumed', 'trial_taken', 'trial_paused') THEN revision END)
            WHEN max(CASE WHEN kind = 'trial_paused' THEN revision END) THEN 'paused'
            WHEN max(CASE WHEN kind = 'trial_taken' THEN revision END) THEN 'running'
            ELSE 'waiting'
        END
    ) AS state,
    -- What a trial came to after the search had stopped it does not count.
    CASE WHEN max(kind = 'trial_stopped') = 0 THEN max(CASE
        WHEN kind = 'trial_finished' AND json_extract(event, '$.outcome.state') = 'complete'
        THEN json_extract(event, '$.outcome.value')
    END) END AS value,
    json_patch(
        max(CASE WHEN kind = 'trial_started' THEN json_extract(event, '$.params') END),
        json_group_object(
            json_extract(event, '$.name'),
            json(CASE json_type(event, '$.value')
                WHEN 'true' THEN 'true'
                WHEN 'false' THEN 'false'
                ELSE json_quote(json_extract(event, '$.value'))
            END)
        ) FILTER (WHERE kind = 'param_suggested')
    ) AS params,
    strftime('%Y-%m-%d %H:%M:%S', coalesce(
        max(CASE WHEN kind = 'trial_imported' THEN json_extract(event, '$.started_us') / 1000000 END),
        max(CASE WHEN kind = 'trial_started' THEN at_ms / 1000 END)
    ), 'unixepoch') AS started,
    -- Since it was taken in hand for the last time.
    coalesce(
        max(CASE WHEN kind = 'trial_finished' THEN json_extract(event, '$.seconds') END),
        (max(CASE WHEN kind = 'trial_stopped' THEN at_ms END) - max(CASE WHEN kind = 'trial_taken' THEN at_ms END)) / 1000.0
    ) AS seconds,
    coalesce(
        max(CASE WHEN kind = 'trial_stopped' THEN json_extract(event, '$.outcome') END),
        max(CASE WHEN kind = 'trial_finished' THEN json_extract(event, '$.outcome') END)
    ) AS outcome
FROM (
    SELECT
        study, revision, at_ms, event,
        json_extract(event, '$.event') AS kind,
        json_extract(event, '$.trial') AS trial
    FROM events
)
WHERE trial IS NOT NULL
GROUP BY study, trial;

-- One row a report; `metrics` is JSON.
CREATE VIEW reports AS
SELECT
    study,
    json_extract(event, '$.trial') AS trial,
    json_extract(event, '$.report.step') AS step,
    json_extract(event, '$.report.value') AS value,
    coalesce(json_extract(event, '$.report.metrics'), '{}') AS metrics
FROM events
WHERE json_extract(event, '$.event') = 'reported';
