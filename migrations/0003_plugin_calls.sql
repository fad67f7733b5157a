-- The flight recorder: calls into plugins with what went in, what was said during them, and what came out.
-- Rows are kept for a bounded time and number, so nothing refers to them.
CREATE TABLE plugin_calls (
    id           TEXT PRIMARY KEY,
    seq          BIGINT NOT NULL UNIQUE,
    plugin       TEXT NOT NULL,
    digest       TEXT NOT NULL,
    interface    TEXT NOT NULL,
    function     TEXT NOT NULL,
    subject_kind TEXT,
    subject_id   TEXT,
    started_at   BIGINT NOT NULL,
    duration_us  BIGINT NOT NULL,
    cpu_us       BIGINT NOT NULL,
    outcome      TEXT NOT NULL,
    error        TEXT,
    input        TEXT NOT NULL,
    exchange     TEXT NOT NULL,
    output       TEXT,
    size_bytes   BIGINT NOT NULL,
    cut          BIGINT NOT NULL CHECK (cut IN (0, 1)),
    -- Calls in a row that were the same but for the time of day are one row.
    count        BIGINT NOT NULL,
    last_at      BIGINT NOT NULL
);
CREATE INDEX plugin_calls_by_plugin ON plugin_calls (plugin, seq);
CREATE INDEX plugin_calls_by_subject ON plugin_calls (subject_id, seq);
CREATE INDEX plugin_calls_by_outcome ON plugin_calls (outcome, seq);
CREATE INDEX plugin_calls_by_digest ON plugin_calls (digest);
CREATE INDEX plugin_calls_by_age ON plugin_calls (last_at);
CREATE INDEX plugin_calls_by_size ON plugin_calls (seq, size_bytes);

INSERT INTO counters (name, value) VALUES ('plugin_calls', 0);
