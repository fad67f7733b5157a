-- What rollouts asked people, and what was answered. plan_hash binds an answer to what was asked about.
CREATE TABLE approvals (
    id            TEXT PRIMARY KEY,
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    prompt        TEXT NOT NULL,
    plan_hash     TEXT NOT NULL,
    state         TEXT NOT NULL,
    asked_at      BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    decided_at    BIGINT,
    decided_by    TEXT,
    comment       TEXT
);
CREATE INDEX approvals_deployment ON approvals (deployment_id, asked_at, id);

-- Since when a person holds the rollout where it is.
ALTER TABLE deployments ADD COLUMN paused_at BIGINT;
