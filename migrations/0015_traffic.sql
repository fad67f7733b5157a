-- Certificates of the hosts of stacks, from an ACME server. chain is PEM; the key to it is sealed. due_at is when it is got
-- for the first time, renewed, or tried again.
CREATE TABLE certificates (
    host       TEXT PRIMARY KEY,
    chain      TEXT,
    sealed_key TEXT,
    not_before BIGINT,
    not_after  BIGINT,
    due_at     BIGINT NOT NULL,
    failures   BIGINT NOT NULL,
    error      TEXT,
    updated_at BIGINT NOT NULL
);

-- Accounts at ACME servers, by the address of the directory; the key is sealed.
CREATE TABLE acme_accounts (
    directory  TEXT PRIMARY KEY,
    sealed     TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
