-- Who may do what. A project belongs to a team, a team to a tenant; people are members of teams, or of one project of
-- a team, in a role. The id below is the team of an installation that never heard of teams (domain/people.rs).
CREATE TABLE tenants (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE teams (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL REFERENCES tenants (id),
    name       TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);
CREATE INDEX teams_by_tenant ON teams (tenant_id);

-- password_hash is argon2id in PHC form. totp_secret is sealed; totp_step is the last step whose code was taken, so that
-- no code counts twice. recovery_codes is a JSON list of sha256 in hex.
CREATE TABLE users (
    id             TEXT PRIMARY KEY,
    tenant_id      TEXT NOT NULL REFERENCES tenants (id),
    name           TEXT NOT NULL UNIQUE,
    is_admin       BIGINT NOT NULL CHECK (is_admin IN (0, 1)),
    password_hash  TEXT,
    totp_secret    TEXT,
    totp_active    BIGINT NOT NULL DEFAULT 0 CHECK (totp_active IN (0, 1)),
    totp_step      BIGINT NOT NULL DEFAULT 0,
    recovery_codes TEXT NOT NULL DEFAULT '[]',
    created_at     BIGINT NOT NULL,
    last_login_at  BIGINT,
    disabled_at    BIGINT
);

-- Without a project, the role holds for all projects of the team.
CREATE TABLE memberships (
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    team_id    TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    project_id TEXT REFERENCES projects (id) ON DELETE CASCADE,
    role       TEXT NOT NULL CHECK (role IN ('viewer', 'developer', 'deployer', 'admin')),
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX memberships_once ON memberships (user_id, team_id, COALESCE(project_id, ''));
CREATE INDEX memberships_by_team ON memberships (team_id, user_id);
CREATE INDEX memberships_by_project ON memberships (project_id) WHERE project_id IS NOT NULL;

-- hash is the sha256 of the secret in hex. user_name is who is invited: nobody else can use it.
CREATE TABLE invitations (
    id         TEXT PRIMARY KEY,
    team_id    TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    project_id TEXT REFERENCES projects (id) ON DELETE CASCADE,
    role       TEXT NOT NULL CHECK (role IN ('viewer', 'developer', 'deployer', 'admin')),
    user_name  TEXT NOT NULL,
    hash       TEXT NOT NULL UNIQUE,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
);
CREATE INDEX invitations_by_team ON invitations (team_id, id);

-- SQLite adds no column that refers to another table and is not null.
ALTER TABLE projects ADD COLUMN team_id TEXT NOT NULL DEFAULT '00000000-0000-7000-8000-000000000000';
CREATE INDEX projects_by_team ON projects (team_id, seq);

-- A session of the dashboard or the command line is a token of its own kind. role, team_id and project_id are the most
-- that it may do; absent: as much as its owner.
ALTER TABLE tokens ADD COLUMN user_id TEXT REFERENCES users (id) ON DELETE CASCADE;
ALTER TABLE tokens ADD COLUMN kind TEXT NOT NULL DEFAULT 'api' CHECK (kind IN ('api', 'session'));
ALTER TABLE tokens ADD COLUMN role TEXT CHECK (role IN ('viewer', 'developer', 'deployer', 'admin'));
ALTER TABLE tokens ADD COLUMN team_id TEXT REFERENCES teams (id) ON DELETE CASCADE;
ALTER TABLE tokens ADD COLUMN project_id TEXT REFERENCES projects (id) ON DELETE CASCADE;
CREATE INDEX tokens_by_user ON tokens (user_id);
CREATE INDEX tokens_by_team ON tokens (team_id) WHERE team_id IS NOT NULL;
CREATE INDEX tokens_by_project ON tokens (project_id) WHERE project_id IS NOT NULL;

-- What a stack asks for before a rollout may begin. windows is JSON; frozen_why says why nothing may.
CREATE TABLE protections (
    stack_id      TEXT PRIMARY KEY REFERENCES stacks (id) ON DELETE CASCADE,
    approvals     BIGINT NOT NULL CHECK (approvals >= 0),
    self_approval BIGINT NOT NULL CHECK (self_approval IN (0, 1)),
    windows       TEXT NOT NULL,
    frozen_why    TEXT,
    updated_by    TEXT NOT NULL,
    updated_at    BIGINT NOT NULL
);
-- Where several people have to approve: who has.
CREATE TABLE approval_votes (
    approval_id TEXT NOT NULL REFERENCES approvals (id) ON DELETE CASCADE,
    user_id     TEXT NOT NULL,
    user_name   TEXT NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (approval_id, user_id)
);
-- The person who asked for a deployment, by id: a name may be a token's.
ALTER TABLE deployments ADD COLUMN requested_by TEXT;

-- The projects that the bearer of a token may see: what every list is filtered by. `Rights::role_on` (domain/access.rs)
-- says the same of one row, and a test compares the two.
CREATE VIEW token_projects AS
SELECT t.id AS token_id, p.id AS project_id
FROM tokens t
JOIN users u ON u.id = t.user_id AND u.disabled_at IS NULL
JOIN projects p ON (t.team_id IS NULL OR p.team_id = t.team_id) AND (t.project_id IS NULL OR p.id = t.project_id)
WHERE t.revoked_at IS NULL AND (u.is_admin = 1 OR EXISTS (
    SELECT 1 FROM memberships m
    WHERE m.user_id = u.id AND m.team_id = p.team_id AND (m.project_id IS NULL OR m.project_id = p.id)));
