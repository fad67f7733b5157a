-- How a build is done beyond seed 2's fields: domain::build_options as JSON.
ALTER TABLE build_configs ADD COLUMN options TEXT NOT NULL DEFAULT '{}';

-- Log-ins to registries. address is host[:port]; password is sealed.
CREATE TABLE registries (
    id         TEXT PRIMARY KEY,
    seq        BIGINT NOT NULL UNIQUE,
    name       TEXT NOT NULL UNIQUE,
    address    TEXT NOT NULL UNIQUE,
    username   TEXT NOT NULL,
    password   TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('registries', 0);

-- Files that builds have left behind; their content is in the data folder, under the row's id.
CREATE TABLE artifacts (
    id         TEXT PRIMARY KEY,
    build_id   TEXT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    path       TEXT NOT NULL,
    size       BIGINT NOT NULL,
    sha256     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    UNIQUE (build_id, path)
);
CREATE INDEX artifacts_by_expiry ON artifacts (expires_at, id);

-- The names under which an image was pushed, with the digests that the registries gave it. JSON.
ALTER TABLE builds ADD COLUMN pushed TEXT NOT NULL DEFAULT '[]';
