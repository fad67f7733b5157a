-- Patterns of the paths that a push has to change to be deployed.
ALTER TABLE build_configs ADD COLUMN auto_deploy_paths TEXT NOT NULL DEFAULT '[]';

-- A delivery that is read again on request is a new event with the body of the old one.
ALTER TABLE webhook_events ADD COLUMN replay_of TEXT;
CREATE INDEX webhook_events_misdirected ON webhook_events (seq) WHERE reason = 'wrong_provider';

-- The number of the event that a deployment comes from: which of two pushes of a branch is the newer one.
ALTER TABLE deployments ADD COLUMN push_seq BIGINT;
CREATE INDEX deployments_by_push ON deployments (stack_id, branch, push_seq) WHERE push_seq IS NOT NULL;
CREATE INDEX builds_open_by_ref ON builds (stack_id, git_ref) WHERE status IN ('queued', 'building');
