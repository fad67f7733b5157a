-- Rotations of the keys that secrets are sealed with. open is 1 until it is finished and NULL from then on, so that only one
-- can be open.
CREATE TABLE key_rotations (
    id          TEXT PRIMARY KEY,
    version     BIGINT NOT NULL,
    data_keys   BIGINT NOT NULL CHECK (data_keys IN (0, 1)),
    moved       BIGINT NOT NULL,
    failed      BIGINT NOT NULL,
    error       TEXT,
    started_at  BIGINT NOT NULL,
    finished_at BIGINT,
    open        BIGINT UNIQUE
);
CREATE INDEX key_rotations_by_start ON key_rotations (started_at);

-- What the record is sealed and signed with: a seed, itself sealed.
CREATE TABLE audit_keys (
    id         TEXT PRIMARY KEY,
    seed       TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- The record. hash is over the row and the hash of the row before it, which is previous. changes is JSON.
CREATE TABLE audit_log (
    seq        BIGINT PRIMARY KEY,
    at         BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor      TEXT NOT NULL,
    via        TEXT NOT NULL,
    address    TEXT NOT NULL,
    action     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    why        TEXT NOT NULL,
    changes    TEXT NOT NULL,
    previous   TEXT NOT NULL,
    hash       TEXT NOT NULL
);
CREATE INDEX audit_log_by_actor ON audit_log (actor, seq);
CREATE INDEX audit_log_by_action ON audit_log (action, seq);
CREATE INDEX audit_log_by_subject ON audit_log (subject, seq);

-- The chain's ends, in one row: the first entry that is kept, the hash before it, the last entry and its hash; mac is over
-- all of these, with a key that is not in the database.
CREATE TABLE audit_head (
    id    BIGINT PRIMARY KEY CHECK (id = 1),
    first BIGINT NOT NULL,
    base  TEXT NOT NULL,
    seq   BIGINT NOT NULL,
    hash  TEXT NOT NULL,
    mac   TEXT NOT NULL
);
INSERT INTO audit_head (id, first, base, seq, hash, mac) VALUES (1, 1, '', 0, '', '');

CREATE TABLE audit_checkpoints (
    seq       BIGINT PRIMARY KEY,
    hash      TEXT NOT NULL,
    at        BIGINT NOT NULL,
    signature TEXT NOT NULL
);
