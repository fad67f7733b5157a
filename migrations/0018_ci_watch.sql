-- Builds that move to a second provider or are started by a schedule, and how often a failed one is started again: origin has
-- two more words, which needs the table anew. timeout_secs is what a build that takes its place gets as well. failover says why a build is to be moved, successor_id is the build that then took
-- its place; whichever of the two comes to an end of its own is the one that counts.
CREATE TABLE ci_builds_wider (
    id               TEXT PRIMARY KEY,
    seq              BIGINT NOT NULL UNIQUE,
    job_id           TEXT NOT NULL REFERENCES cicd_jobs (id) ON DELETE CASCADE,
    deployment_id    TEXT REFERENCES deployments (id) ON DELETE CASCADE,
    external_id      TEXT,
    number           TEXT NOT NULL,
    status           TEXT NOT NULL CHECK (status IN ('pending', 'running', 'success', 'failure', 'cancelled', 'unknown')),
    status_word      TEXT,
    url              TEXT,
    ref_name         TEXT,
    parameters       TEXT NOT NULL,
    origin           TEXT NOT NULL CHECK (origin IN ('deployment', 'api', 'rerun', 'retry', 'outside', 'schedule', 'failover')),
    attempt          BIGINT NOT NULL,
    start            TEXT NOT NULL CHECK (start IN ('none', 'sent', 'known')),
    cancel_requested BIGINT NOT NULL CHECK (cancel_requested IN (0, 1)),
    hinted_at        BIGINT,
    deadline_at      BIGINT NOT NULL,
    log_cursor       TEXT,
    log_complete     BIGINT NOT NULL CHECK (log_complete IN (0, 1)),
    trouble          TEXT,
    trouble_since    BIGINT,
    error            TEXT,
    started_at       BIGINT,
    finished_at      BIGINT,
    settled_at       BIGINT,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL,
    timeout_secs     BIGINT NOT NULL DEFAULT 3600,
    retries          BIGINT NOT NULL DEFAULT 0,
    failover         TEXT,
    successor_id     TEXT
);
INSERT INTO ci_builds_wider (id, seq, job_id, deployment_id, external_id, number, status, status_word, url, ref_name, parameters,
    origin, attempt, start, cancel_requested, hinted_at, deadline_at, log_cursor, log_complete, trouble, trouble_since, error,
    started_at, finished_at, settled_at, created_at, updated_at)
SELECT id, seq, job_id, deployment_id, external_id, number, status, status_word, url, ref_name, parameters,
    origin, attempt, start, cancel_requested, hinted_at, deadline_at, log_cursor, log_complete, trouble, trouble_since, error,
    started_at, finished_at, settled_at, created_at, updated_at
FROM ci_builds;
DROP TABLE ci_builds;
ALTER TABLE ci_builds_wider RENAME TO ci_builds;
CREATE INDEX ci_builds_by_job ON ci_builds (job_id, seq);
CREATE INDEX ci_builds_by_deployment ON ci_builds (deployment_id, seq) WHERE deployment_id IS NOT NULL;
CREATE INDEX ci_builds_open ON ci_builds (seq) WHERE settled_at IS NULL;
CREATE UNIQUE INDEX ci_builds_by_external_id ON ci_builds (job_id, external_id) WHERE external_id IS NOT NULL;

-- A schedule is a stack's, which it deploys, or a job's, of which it starts a build.
CREATE TABLE schedules_wider (
    id                 TEXT PRIMARY KEY,
    seq                BIGINT NOT NULL UNIQUE,
    stack_id           TEXT REFERENCES stacks (id) ON DELETE CASCADE,
    job_id             TEXT REFERENCES cicd_jobs (id) ON DELETE CASCADE,
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
    last_build_id      TEXT,
    created_at         BIGINT NOT NULL,
    updated_at         BIGINT NOT NULL,
    CHECK ((stack_id IS NULL) <> (job_id IS NULL)),
    UNIQUE (stack_id, name),
    UNIQUE (job_id, name)
);
INSERT INTO schedules_wider (id, seq, stack_id, name, cron, time_zone, git_ref, missed, enabled, next_at, last_due_at, last_result,
    last_deployment_id, created_at, updated_at)
SELECT id, seq, stack_id, name, cron, time_zone, git_ref, missed, enabled, next_at, last_due_at, last_result,
    last_deployment_id, created_at, updated_at
FROM schedules;
DROP TABLE schedules;
ALTER TABLE schedules_wider RENAME TO schedules;
CREATE INDEX schedules_due ON schedules (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX schedules_by_deployment ON schedules (last_deployment_id);
