-- What this server does at a repository's forge. commit_status: whether it shows there what becomes of a commit.
-- commit_status_error and hook_error: why that did not work the last time. hook_id: the forge's own id of the webhook that this
-- server has registered; null if nobody has, or a person did.
ALTER TABLE git_repositories ADD COLUMN commit_status BIGINT NOT NULL DEFAULT 1 CHECK (commit_status IN (0, 1));
ALTER TABLE git_repositories ADD COLUMN commit_status_error TEXT;
ALTER TABLE git_repositories ADD COLUMN hook_id TEXT;
ALTER TABLE git_repositories ADD COLUMN hook_error TEXT;
-- The last state of a deployment that its forge was told.
ALTER TABLE deployments ADD COLUMN told TEXT;
