-- Whether a stack's protection holds for the previews of its pull requests as well.
ALTER TABLE protections ADD COLUMN covers_previews BIGINT NOT NULL DEFAULT 0 CHECK (covers_previews IN (0, 1));

-- Whose the things are that an entry of the record is about; null for the installation's, and for what was written before this.
-- It is part of the entry's hash where there is one. A team that is gone stays in it, so it refers to nothing.
ALTER TABLE audit_log ADD COLUMN team_id TEXT;
CREATE INDEX audit_log_by_team ON audit_log (team_id, seq);

-- The teams that the bearer of a token administers as a whole: whose entries of the record they see. `Rights::role_on` says the
-- same of one team, and a test compares the two.
CREATE VIEW token_admin_teams AS
SELECT t.id AS token_id, e.id AS team_id
FROM tokens t
JOIN users u ON u.id = t.user_id AND u.disabled_at IS NULL
JOIN teams e ON t.team_id IS NULL OR e.id = t.team_id
WHERE t.revoked_at IS NULL AND t.project_id IS NULL AND (t.role IS NULL OR t.role = 'admin') AND (u.is_admin = 1 OR EXISTS (
    SELECT 1 FROM memberships m
    WHERE m.user_id = u.id AND m.team_id = e.id AND m.project_id IS NULL AND m.role = 'admin'));
