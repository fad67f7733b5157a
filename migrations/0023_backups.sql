-- Backups: those that a person asked for and those of the schedule, which has one row for each due time whatever the number of
-- nodes. size_bytes and row_count are known once there is a file. open is 1 while it is made, else null: one at a time.
CREATE TABLE backups (
    id          TEXT PRIMARY KEY,
    due_at      BIGINT UNIQUE,
    name        TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('running', 'successful', 'failed')),
    recipients  BIGINT NOT NULL,
    size_bytes  BIGINT,
    row_count   BIGINT,
    error       TEXT,
    open        BIGINT UNIQUE,
    started_at  BIGINT NOT NULL,
    finished_at BIGINT
);
CREATE INDEX backups_by_start ON backups (started_at, id);
CREATE INDEX backups_by_status ON backups (status, started_at);
