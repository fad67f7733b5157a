-- What has ended lately, by when: the figures of the overview read this index and no rows.
CREATE INDEX deployments_ended ON deployments (completed_at, status, project_id, started_at)
    WHERE completed_at IS NOT NULL;
-- What went wrong lately, to see how long each stack took to recover.
CREATE INDEX deployments_unsuccessful ON deployments (completed_at, stack_id, seq)
    WHERE status IN ('failed', 'rolled_back');

-- A stack that shows its state to everybody who knows the key: in a badge, and for cctray.
CREATE TABLE badges (
    stack_id   TEXT PRIMARY KEY REFERENCES stacks (id) ON DELETE CASCADE,
    key        TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

-- The trace that a task belongs to, in W3C form (traceparent), if it belongs to one.
ALTER TABLE tasks ADD COLUMN trace TEXT;
CREATE INDEX tasks_unfinished ON tasks (created_at) WHERE status IN ('queued', 'running');

-- Who somebody is at an OpenID provider. subject is the provider's and never changes; names and addresses do.
CREATE TABLE oidc_identities (
    issuer        TEXT NOT NULL,
    subject       TEXT NOT NULL,
    user_id       TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email         TEXT,
    created_at    BIGINT NOT NULL,
    last_login_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX oidc_identities_by_user ON oidc_identities (user_id);
