-- What is remembered of plugins from one start to the next: which component may run, which one to return to, and what was
-- approved. digest is the sha256 of the component that state is about; components themselves are files.
CREATE TABLE plugins (
    name             TEXT PRIMARY KEY,
    digest           TEXT,
    source           TEXT NOT NULL,
    state            TEXT NOT NULL,
    last_good_digest TEXT,
    granted          TEXT NOT NULL,
    reason           TEXT,
    installed        BIGINT NOT NULL,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL
);
