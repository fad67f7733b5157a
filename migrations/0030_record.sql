-- The project whose things an entry of the record is about, where they are one project's alone; null for those of a team as a
-- whole, for the installation's, and for what was written before this. It is part of the entry's hash where there is one. A
-- project that is gone stays in it, so it refers to nothing.
ALTER TABLE audit_log ADD COLUMN project_id TEXT;
CREATE INDEX audit_log_by_project ON audit_log (project_id, seq);

-- The projects that the bearer of a token administers, be it with all of the team: whose entries of the record they see. The
-- team is the one that the project belongs to now; entries from before stay with the team of then. `Rights::role_on` says the
-- same of one project, and a test compares the two.
CREATE VIEW token_admin_projects AS
SELECT t.id AS token_id, p.team_id AS team_id, p.id AS project_id
FROM tokens t
JOIN users u ON u.id = t.user_id AND u.disabled_at IS NULL
JOIN projects p ON (t.team_id IS NULL OR p.team_id = t.team_id) AND (t.project_id IS NULL OR p.id = t.project_id)
WHERE t.revoked_at IS NULL AND (t.role IS NULL OR t.role = 'admin') AND (u.is_admin = 1 OR EXISTS (
    SELECT 1 FROM memberships m
    WHERE m.user_id = u.id AND m.team_id = p.team_id AND (m.project_id IS NULL OR m.project_id = p.id) AND m.role = 'admin'));
