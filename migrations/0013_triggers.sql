-- How an event came in: a forge's delivery, or a push that this server found itself. outcomes is JSON, for events that
-- several stacks or branches are concerned by.
ALTER TABLE webhook_events ADD COLUMN origin TEXT NOT NULL DEFAULT 'delivery';
ALTER TABLE webhook_events ADD COLUMN outcomes TEXT;

-- The newest commit known of each branch of a stack's repository, and by which way it became known: 'look' (found on
-- the git server), the address of a delivery, or nothing where it is only a fact that nobody has acted on. event is the
-- number of the event that brought it; 0 without one.
CREATE TABLE git_heads (
    repository_id TEXT NOT NULL REFERENCES git_repositories (id) ON DELETE CASCADE,
    branch        TEXT NOT NULL,
    commit_sha    TEXT NOT NULL,
    via           TEXT NOT NULL,
    event         BIGINT NOT NULL,
    PRIMARY KEY (repository_id, branch)
);

-- When a repository's branches were looked at on the git server, and when they will be again (never: NULL). url is where
-- it was then: what is known of one address says nothing about another. cause is why the next look is taken.
CREATE TABLE git_looks (
    repository_id TEXT PRIMARY KEY REFERENCES git_repositories (id) ON DELETE CASCADE,
    url           TEXT NOT NULL,
    cause         TEXT NOT NULL CHECK (cause IN ('start', 'poll')),
    next_at       BIGINT,
    looked_at     BIGINT,
    failures      BIGINT NOT NULL,
    error         TEXT
);
CREATE INDEX git_looks_due ON git_looks (next_at) WHERE next_at IS NOT NULL;

-- Deployments at set times. cron is read in time_zone (IANA name); next_at is the due time that comes next, NULL while
-- it is off. missed says what happens to a due time at which no server ran.
CREATE TABLE schedules (
    id                 TEXT PRIMARY KEY,
    seq                BIGINT NOT NULL UNIQUE,
    stack_id           TEXT NOT NULL REFERENCES stacks (id) ON DELETE CASCADE,
    name               TEXT NOT NULL,
    cron               TEXT NOT NULL,
    time_zone          TEXT NOT NULL,
    git_ref            TEXT,
    missed             TEXT NOT NULL CHECK (missed IN ('run_once', 'skip')),
    enabled            BIGINT NOT NULL CHECK (enabled IN (0, 1)),
    next_at            BIGINT,
    last_due_at        BIGINT,
    last_result        TEXT,
    last_deployment_id TEXT REFERENCES deployments (id) ON DELETE SET NULL,
    created_at         BIGINT NOT NULL,
    updated_at         BIGINT NOT NULL,
    UNIQUE (stack_id, name)
);
CREATE INDEX schedules_due ON schedules (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX schedules_by_deployment ON schedules (last_deployment_id);
INSERT INTO counters (name, value) VALUES ('schedules', 0);
