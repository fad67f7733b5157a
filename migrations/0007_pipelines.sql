-- Templates of pipelines. A row is a version and never changes; scope is project_id, or empty for those of all projects, since
-- NULLs are never alike. model, parameters (a JSON Schema), settings and texts (by generator) are JSON.
CREATE TABLE pipeline_templates (
    id          TEXT PRIMARY KEY,
    seq         BIGINT NOT NULL UNIQUE,
    project_id  TEXT REFERENCES projects (id) ON DELETE CASCADE,
    scope       TEXT NOT NULL,
    name        TEXT NOT NULL,
    version     BIGINT NOT NULL,
    is_latest   BIGINT NOT NULL,
    description TEXT NOT NULL,
    model       TEXT NOT NULL,
    parameters  TEXT NOT NULL,
    settings    TEXT NOT NULL,
    texts       TEXT NOT NULL,
    created_by  TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    UNIQUE (scope, name, version)
);
CREATE INDEX pipeline_templates_latest ON pipeline_templates (scope, is_latest, seq);
CREATE INDEX pipeline_templates_project ON pipeline_templates (project_id);

INSERT INTO counters (name, value) VALUES ('pipeline_templates', 0);
