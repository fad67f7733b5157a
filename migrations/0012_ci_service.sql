-- What the tables of seeds 0 and 1 need to be worked with. settings are the plugin's; webhook_secret is sealed; health is JSON and
-- says how the provider answered lately.
ALTER TABLE cicd_providers ADD COLUMN seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE cicd_providers ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
ALTER TABLE cicd_providers ADD COLUMN webhook_secret TEXT;
ALTER TABLE cicd_providers ADD COLUMN private_network BIGINT NOT NULL DEFAULT 0;
ALTER TABLE cicd_providers ADD COLUMN certificates TEXT;
ALTER TABLE cicd_providers ADD COLUMN health TEXT NOT NULL DEFAULT '{}';
CREATE UNIQUE INDEX cicd_providers_by_name ON cicd_providers (name);
CREATE INDEX cicd_providers_by_seq ON cicd_providers (seq);
CREATE INDEX cicd_providers_by_type ON cicd_providers (type, seq);

-- spec is what the job was asked to be. Until the provider has made it (made_at), external_id is the row's own id.
ALTER TABLE cicd_jobs ADD COLUMN seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE cicd_jobs ADD COLUMN spec TEXT NOT NULL DEFAULT '{}';
ALTER TABLE cicd_jobs ADD COLUMN made_at BIGINT;
CREATE INDEX cicd_jobs_by_seq ON cicd_jobs (seq);
CREATE INDEX cicd_jobs_by_provider ON cicd_jobs (provider_id, seq);
CREATE INDEX cicd_jobs_by_name ON cicd_jobs (provider_id, name);

-- Seed 0, CICDBuild, and how it is followed. Until the provider has answered to its start, external_id is NULL; start says whether
-- a request that may have started it was ever sent. hinted_at: when somebody said that there is news. settled_at: nothing more is to be done.
CREATE TABLE ci_builds (
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
    origin           TEXT NOT NULL CHECK (origin IN ('deployment', 'api', 'rerun', 'retry', 'outside')),
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
    updated_at       BIGINT NOT NULL
);
CREATE INDEX ci_builds_by_job ON ci_builds (job_id, seq);
CREATE INDEX ci_builds_by_deployment ON ci_builds (deployment_id, seq) WHERE deployment_id IS NOT NULL;
CREATE INDEX ci_builds_open ON ci_builds (seq) WHERE settled_at IS NULL;
CREATE UNIQUE INDEX ci_builds_by_external_id ON ci_builds (job_id, external_id) WHERE external_id IS NOT NULL;

-- Stacks that are deployed by a provider instead of by this server. A provider that a stack needs cannot be removed.
CREATE TABLE stack_ci (
    stack_id    TEXT PRIMARY KEY REFERENCES stacks (id) ON DELETE CASCADE,
    provider_id TEXT NOT NULL REFERENCES cicd_providers (id),
    job_id      TEXT REFERENCES cicd_jobs (id) ON DELETE SET NULL,
    settings    TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE INDEX stack_ci_by_provider ON stack_ci (provider_id);
CREATE INDEX stack_ci_by_job ON stack_ci (job_id);

CREATE INDEX webhook_events_ci_hints ON webhook_events (seq) WHERE reason = 'ci_hint';

INSERT INTO counters (name, value) VALUES ('cicd_providers', 0), ('cicd_jobs', 0), ('ci_builds', 0);
