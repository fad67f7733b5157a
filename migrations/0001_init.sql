-- One text for SQLite and PostgreSQL (docs/decisions/0001-one-sql-text.md): ids are TEXT (UUIDv7), times BIGINT unix
-- milliseconds, booleans BIGINT 0 or 1, structures TEXT holding JSON, bytes BYTEA (to SQLite any type name will do). Tables named by the
-- seeds keep their names and columns; a column that a seed calls otherwise says so.

-- Numbers that grow in commit order: the transaction that raises a counter holds its row until it commits.
CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES
    ('projects', 0), ('stacks', 0), ('builds', 0), ('deployments', 0), ('releases', 0),
    ('webhook_events', 0), ('events', 0), ('tokens', 0), ('fences', 0);

CREATE TABLE projects (
    id         TEXT PRIMARY KEY,
    seq        BIGINT NOT NULL UNIQUE,
    name       TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- A stack is what seed 4 calls a service.
CREATE TABLE stacks (
    id              TEXT PRIMARY KEY,
    seq             BIGINT NOT NULL UNIQUE,
    project_id      TEXT NOT NULL REFERENCES projects (id),
    name            TEXT NOT NULL UNIQUE,
    description     TEXT NOT NULL,
    run             TEXT NOT NULL,
    strategy        TEXT NOT NULL,
    strategy_params TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);
CREATE INDEX stacks_by_project ON stacks (project_id, seq);

-- A stack has at most one repository.
CREATE TABLE git_repositories (
    id                 TEXT PRIMARY KEY,
    stack_id           TEXT NOT NULL UNIQUE REFERENCES stacks (id) ON DELETE CASCADE,
    url                TEXT NOT NULL,
    branch             TEXT NOT NULL,
    auth_type          TEXT NOT NULL CHECK (auth_type IN ('none', 'ssh_key', 'http_token')),
    credentials        TEXT,
    webhook_secret     TEXT,
    webhook_url        TEXT,
    provider           TEXT NOT NULL,
    auto_sync          BIGINT NOT NULL CHECK (auto_sync IN (0, 1)),
    last_synced_at     BIGINT,
    last_synced_commit TEXT,
    created_at         BIGINT NOT NULL,
    updated_at         BIGINT NOT NULL
);
CREATE INDEX git_repositories_by_provider ON git_repositories (provider, id);

-- A stack has at most one build configuration. The lists of commands and branches are JSON.
CREATE TABLE build_configs (
    id                   TEXT PRIMARY KEY,
    stack_id             TEXT NOT NULL UNIQUE REFERENCES stacks (id) ON DELETE CASCADE,
    repository_id        TEXT REFERENCES git_repositories (id) ON DELETE SET NULL,
    build_type           TEXT NOT NULL,
    context_path         TEXT,
    dockerfile_path      TEXT,
    compose_path         TEXT,
    target               TEXT,
    pre_build_commands   TEXT NOT NULL,
    post_build_commands  TEXT NOT NULL,
    timeout              BIGINT NOT NULL,
    auto_deploy_on_push  BIGINT NOT NULL CHECK (auto_deploy_on_push IN (0, 1)),
    auto_deploy_branches TEXT NOT NULL,
    health_check_path    TEXT,
    health_check_timeout BIGINT,
    rollback_on_failure  BIGINT NOT NULL CHECK (rollback_on_failure IN (0, 1)),
    created_at           BIGINT NOT NULL,
    updated_at           BIGINT NOT NULL
);
CREATE INDEX build_configs_by_repository ON build_configs (repository_id);

CREATE TABLE build_args (
    build_config_id TEXT NOT NULL REFERENCES build_configs (id) ON DELETE CASCADE,
    n               BIGINT NOT NULL,
    name            TEXT NOT NULL,
    value           TEXT NOT NULL,
    PRIMARY KEY (build_config_id, n)
);

-- The value of a secret variable is sealed.
CREATE TABLE env_vars (
    build_config_id TEXT NOT NULL REFERENCES build_configs (id) ON DELETE CASCADE,
    n               BIGINT NOT NULL,
    name            TEXT NOT NULL,
    value           TEXT NOT NULL,
    secret          BIGINT NOT NULL CHECK (secret IN (0, 1)),
    PRIMARY KEY (build_config_id, n)
);

-- project_id and service_id are seed 4's words; a service is a stack.
CREATE TABLE builds (
    id             TEXT PRIMARY KEY,
    seq            BIGINT NOT NULL UNIQUE,
    project_id     TEXT NOT NULL REFERENCES projects (id),
    stack_id       TEXT NOT NULL REFERENCES stacks (id) ON DELETE CASCADE,
    service_id     TEXT GENERATED ALWAYS AS (stack_id) STORED,
    git_url        TEXT NOT NULL,
    git_ref        TEXT NOT NULL,
    commit_sha     TEXT NOT NULL,
    context_path   TEXT NOT NULL DEFAULT '.',
    dockerfile     TEXT NOT NULL DEFAULT 'Dockerfile',
    image_tag      TEXT NOT NULL,
    image_digest   TEXT NOT NULL,
    status         TEXT NOT NULL DEFAULT 'queued'
                   CHECK (status IN ('queued', 'building', 'success', 'failed', 'cancelled')),
    error          TEXT,
    log_path       TEXT,
    log_size       BIGINT NOT NULL DEFAULT 0,
    planner        TEXT NOT NULL,
    planner_digest TEXT NOT NULL,
    started_at     BIGINT,
    finished_at    BIGINT,
    created_at     BIGINT NOT NULL
);
CREATE INDEX builds_by_stack ON builds (stack_id, seq);
CREATE INDEX builds_by_project ON builds (project_id);
CREATE INDEX builds_open ON builds (seq) WHERE status IN ('queued', 'building');

-- What a deployment produced and a rollback needs.
CREATE TABLE releases (
    id             TEXT PRIMARY KEY,
    seq            BIGINT NOT NULL UNIQUE,
    stack_id       TEXT NOT NULL REFERENCES stacks (id) ON DELETE CASCADE,
    build_id       TEXT REFERENCES builds (id) ON DELETE SET NULL,
    image_tag      TEXT NOT NULL,
    image_digest   TEXT NOT NULL,
    commit_sha     TEXT NOT NULL,
    spec           TEXT NOT NULL,
    config_hash    TEXT NOT NULL,
    plugin_digests TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('candidate', 'good', 'bad')),
    created_at     BIGINT NOT NULL
);
CREATE INDEX releases_by_stack ON releases (stack_id, seq);
CREATE INDEX releases_by_build ON releases (build_id);

ALTER TABLE stacks ADD COLUMN active_release_id TEXT REFERENCES releases (id) ON DELETE SET NULL;
CREATE INDEX stacks_by_release ON stacks (active_release_id);

-- The union of seed 2's and seed 4's deployment, with the state of its rollout. build_logs and deployment_logs point
-- to the log's file; duration is in seconds; fence is the fencing token of the last writer of the rollout.
CREATE TABLE deployments (
    id                     TEXT PRIMARY KEY,
    seq                    BIGINT NOT NULL UNIQUE,
    project_id             TEXT NOT NULL REFERENCES projects (id),
    stack_id               TEXT NOT NULL REFERENCES stacks (id) ON DELETE CASCADE,
    service_id             TEXT GENERATED ALWAYS AS (stack_id) STORED,
    build_config_id        TEXT REFERENCES build_configs (id) ON DELETE SET NULL,
    repository_id          TEXT REFERENCES git_repositories (id) ON DELETE SET NULL,
    build_id               TEXT REFERENCES builds (id) ON DELETE SET NULL,
    release_id             TEXT REFERENCES releases (id) ON DELETE SET NULL,
    stable_release_id      TEXT REFERENCES releases (id) ON DELETE SET NULL,
    commit_sha             TEXT NOT NULL,
    commit_message         TEXT,
    commit_author          TEXT,
    branch                 TEXT NOT NULL,
    tag                    TEXT,
    image_tag              TEXT NOT NULL,
    reason                 TEXT,
    status                 TEXT NOT NULL CHECK (status IN ('pending', 'building', 'deploying', 'successful', 'failed',
                                                           'rolled_back', 'cancelled')),
    error                  TEXT,
    triggered_by           TEXT NOT NULL CHECK (triggered_by IN ('webhook', 'manual', 'scheduled', 'api')),
    triggered_by_user      TEXT,
    previous_deployment_id TEXT REFERENCES deployments (id) ON DELETE SET NULL,
    strategy               TEXT NOT NULL,
    strategy_digest        TEXT NOT NULL,
    strategy_params        TEXT NOT NULL,
    memory                 BYTEA NOT NULL,
    label                  TEXT NOT NULL,
    progress               BIGINT NOT NULL CHECK (progress BETWEEN 0 AND 100),
    rollout_started_at     BIGINT,
    step_started_at        BIGINT,
    deadline_at            BIGINT,
    abort_requested        BIGINT NOT NULL CHECK (abort_requested IN (0, 1)),
    fallback_reason        TEXT,
    pause_ms               BIGINT,
    fence                  BIGINT NOT NULL DEFAULT 0,
    build_logs             TEXT,
    deployment_logs        TEXT,
    created_at             BIGINT NOT NULL,
    started_at             BIGINT NOT NULL,
    completed_at           BIGINT,
    duration               BIGINT
);
CREATE INDEX deployments_by_stack ON deployments (stack_id, seq);
CREATE INDEX deployments_by_project ON deployments (project_id);
CREATE INDEX deployments_by_build ON deployments (build_id);
CREATE INDEX deployments_by_release ON deployments (release_id);
CREATE INDEX deployments_by_stable_release ON deployments (stable_release_id);
CREATE INDEX deployments_by_build_config ON deployments (build_config_id);
CREATE INDEX deployments_by_repository ON deployments (repository_id);
CREATE INDEX deployments_by_previous ON deployments (previous_deployment_id);
CREATE INDEX deployments_successful ON deployments (stack_id, seq) WHERE status = 'successful';
CREATE INDEX deployments_open ON deployments (seq) WHERE status IN ('pending', 'building', 'deploying');

-- A build and a release name the deployment they belong to, and the other way round. These are no foreign keys, because
-- two rows that refer to each other could not be inserted; both go with their stack.
ALTER TABLE builds ADD COLUMN deployment_id TEXT;
ALTER TABLE releases ADD COLUMN deployment_id TEXT;
CREATE INDEX builds_by_deployment ON builds (deployment_id);
CREATE INDEX releases_by_deployment ON releases (deployment_id);

-- The journal of a rollout: each effect is written as an intent before it happens and marked after it.
CREATE TABLE rollout_steps (
    id            TEXT PRIMARY KEY,
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    n             BIGINT NOT NULL,
    label         TEXT NOT NULL,
    effect        TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('intent', 'done', 'failed')),
    error         TEXT,
    intended_at   BIGINT NOT NULL,
    done_at       BIGINT,
    UNIQUE (deployment_id, n)
);
CREATE INDEX rollout_steps_open ON rollout_steps (deployment_id, n) WHERE state = 'intent';

CREATE TABLE routes (
    stack_id   TEXT PRIMARY KEY REFERENCES stacks (id) ON DELETE CASCADE,
    weights    TEXT NOT NULL,
    version    BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- dedupe_key is set for verified deliveries only, so that a forged one cannot take the place of a real one.
CREATE TABLE webhook_events (
    id            TEXT PRIMARY KEY,
    seq           BIGINT NOT NULL UNIQUE,
    repository_id TEXT REFERENCES git_repositories (id) ON DELETE SET NULL,
    provider      TEXT NOT NULL,
    event_type    TEXT NOT NULL,
    payload       BYTEA NOT NULL,
    headers       TEXT NOT NULL,
    signature     TEXT,
    delivery_id   TEXT,
    dedupe_key    TEXT UNIQUE,
    verified      BIGINT NOT NULL CHECK (verified IN (0, 1)),
    processed     BIGINT NOT NULL CHECK (processed IN (0, 1)),
    reason        TEXT,
    detail        TEXT,
    deployment_id TEXT REFERENCES deployments (id) ON DELETE SET NULL,
    received_at   BIGINT NOT NULL,
    processed_at  BIGINT,
    error         TEXT
);
CREATE INDEX webhook_events_by_repository ON webhook_events (repository_id, seq) WHERE repository_id IS NOT NULL;
CREATE INDEX webhook_events_by_deployment ON webhook_events (deployment_id) WHERE deployment_id IS NOT NULL;
CREATE INDEX webhook_events_forged ON webhook_events (seq) WHERE reason = 'bad_signature';
CREATE INDEX webhook_events_repeated ON webhook_events (seq) WHERE reason = 'duplicate_of';

-- The queue. lease_boot tells the lives of a node apart, so that what an earlier life held is taken back at once.
CREATE TABLE tasks (
    id               TEXT PRIMARY KEY,
    kind             TEXT NOT NULL,
    subject_id       TEXT NOT NULL,
    payload          TEXT NOT NULL,
    status           TEXT NOT NULL CHECK (status IN ('queued', 'running', 'success', 'failed', 'cancelled')),
    progress         BIGINT NOT NULL CHECK (progress BETWEEN 0 AND 100),
    attempt          BIGINT NOT NULL,
    max_attempts     BIGINT NOT NULL,
    priority         BIGINT NOT NULL,
    unique_key       TEXT,
    concurrency_key  TEXT,
    run_at           BIGINT NOT NULL,
    lease_owner      TEXT,
    lease_boot       TEXT,
    lease_until      BIGINT,
    fence            BIGINT NOT NULL,
    cancel_requested BIGINT NOT NULL CHECK (cancel_requested IN (0, 1)),
    error            TEXT,
    created_at       BIGINT NOT NULL,
    started_at       BIGINT,
    finished_at      BIGINT
);
CREATE INDEX tasks_queued ON tasks (priority DESC, run_at, id) WHERE status = 'queued';
CREATE INDEX tasks_due ON tasks (run_at) WHERE status = 'queued';
CREATE INDEX tasks_running ON tasks (lease_until) WHERE status = 'running';
CREATE INDEX tasks_finished ON tasks (finished_at) WHERE status IN ('success', 'failed', 'cancelled');
CREATE INDEX tasks_by_subject ON tasks (subject_id, id);
CREATE INDEX tasks_open_by_key ON tasks (concurrency_key, id)
    WHERE concurrency_key IS NOT NULL AND status IN ('queued', 'running');
-- Two promises that hold whatever a claim or an enqueue believes.
CREATE UNIQUE INDEX tasks_one_per_unique_key ON tasks (unique_key)
    WHERE unique_key IS NOT NULL AND status IN ('queued', 'running');
CREATE UNIQUE INDEX tasks_one_running_per_key ON tasks (concurrency_key)
    WHERE concurrency_key IS NOT NULL AND status = 'running';

-- The outbox. It names stacks that may be gone, so it has no foreign key.
CREATE TABLE events (
    seq        BIGINT PRIMARY KEY,
    kind       TEXT NOT NULL,
    stack_id   TEXT,
    subject_id TEXT,
    data       TEXT NOT NULL,
    at         BIGINT NOT NULL
);
CREATE INDEX events_by_stack ON events (stack_id, seq) WHERE stack_id IS NOT NULL;
CREATE INDEX events_by_time ON events (at);

CREATE TABLE tokens (
    id           TEXT PRIMARY KEY,
    seq          BIGINT NOT NULL UNIQUE,
    name         TEXT NOT NULL,
    prefix       TEXT NOT NULL,
    hash         TEXT NOT NULL UNIQUE,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT,
    expires_at   BIGINT,
    revoked_at   BIGINT
);

-- Seed 0 and seed 1: connections to CI systems, their jobs, and which deployment waits for which job. credentials is
-- sealed. status, last_build_number and last_synced_at are what seed 1 writes but seed 0's table lacks.
CREATE TABLE cicd_providers (
    id          TEXT PRIMARY KEY,
    type        TEXT NOT NULL,
    name        TEXT NOT NULL,
    url         TEXT NOT NULL,
    port        BIGINT,
    auth_type   TEXT NOT NULL CHECK (auth_type IN ('token', 'basic')),
    credentials TEXT,
    tenant_id   TEXT,
    team_id     TEXT,
    creator_id  TEXT,
    is_active   BIGINT NOT NULL CHECK (is_active IN (0, 1)),
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

CREATE TABLE cicd_jobs (
    id                TEXT PRIMARY KEY,
    provider_id       TEXT NOT NULL REFERENCES cicd_providers (id) ON DELETE CASCADE,
    external_id       TEXT NOT NULL,
    name              TEXT NOT NULL,
    description       TEXT,
    parameters        TEXT,
    trigger_token     TEXT,
    trigger_url       TEXT,
    job_url           TEXT,
    status            TEXT,
    last_build_number TEXT,
    last_synced_at    BIGINT,
    creator_id        TEXT,
    team_id           TEXT,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    UNIQUE (provider_id, external_id)
);

CREATE TABLE deployment_cicd_mappings (
    id            TEXT PRIMARY KEY,
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    cicd_job_id   TEXT NOT NULL REFERENCES cicd_jobs (id) ON DELETE CASCADE,
    parameters    TEXT,
    build_number  TEXT,
    build_url     TEXT,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);
CREATE INDEX deployment_cicd_mappings_by_deployment ON deployment_cicd_mappings (deployment_id);
CREATE INDEX deployment_cicd_mappings_by_job ON deployment_cicd_mappings (cicd_job_id);
