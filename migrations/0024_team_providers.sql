-- A provider is a team's or the installation's, by the team's id. What was written there before was not looked at: a name is
-- taken for the team that has it, and what names no team is the installation's.
UPDATE cicd_providers SET team_id = (SELECT t.id FROM teams t WHERE t.id = team_id OR t.name = team_id);
UPDATE cicd_jobs SET team_id = (SELECT p.team_id FROM cicd_providers p WHERE p.id = provider_id);

-- The teams whose own things the bearer of a token may see, and an empty id where the installation's are theirs. As
-- `token_projects` for what belongs to no project; `Rights::role_on` says the same of one row.
CREATE VIEW token_teams AS
SELECT t.id AS token_id, e.id AS team_id
FROM tokens t
JOIN users u ON u.id = t.user_id AND u.disabled_at IS NULL
JOIN teams e ON t.team_id IS NULL OR e.id = t.team_id
WHERE t.revoked_at IS NULL AND t.project_id IS NULL AND (u.is_admin = 1 OR EXISTS (
    SELECT 1 FROM memberships m WHERE m.user_id = u.id AND m.team_id = e.id AND m.project_id IS NULL))
UNION ALL
SELECT t.id AS token_id, '' AS team_id
FROM tokens t
JOIN users u ON u.id = t.user_id AND u.disabled_at IS NULL AND u.is_admin = 1
WHERE t.revoked_at IS NULL AND t.team_id IS NULL AND t.project_id IS NULL;
