-- Schema 1: studies, their events and their artifacts. Everything else is derived from the events.

CREATE TABLE studies (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- never given twice
    name       TEXT   NOT NULL UNIQUE,
    created_ms BIGINT NOT NULL,                                  -- since 1970, UTC
    definition TEXT   NOT NULL                                   -- JSON
);

CREATE TABLE events (
    study    BIGINT NOT NULL REFERENCES studies (id) ON DELETE CASCADE,
    revision BIGINT NOT NULL,                                    -- 1, 2, 3, ... within the study
    at_ms    BIGINT NOT NULL,
    event    TEXT   NOT NULL,                                    -- JSON; NaN and the infinities are text
    digest   BYTEA  NOT NULL,                                    -- SHA-256 of this event and all before it
    writing  BIGINT NOT NULL,                                    -- which append it came with
    PRIMARY KEY (study, revision)
);

CREATE TABLE artifacts (
    study BIGINT NOT NULL REFERENCES studies (id) ON DELETE CASCADE,
    name  TEXT   NOT NULL COLLATE "C",
    bytes BYTEA  NOT NULL,
    PRIMARY KEY (study, name)
);

-- Sessions at work, as long as they are heard of.
CREATE TABLE sessions (
    study   BIGINT      NOT NULL REFERENCES studies (id) ON DELETE CASCADE,
    session BIGINT      NOT NULL,
    until   TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (study, session)
);
