-- What is kept of the log of a build that has ended, as JSON: its folder, bytes, lines, the sha256 of its text and its last
-- lines, which outlive the files. build_logs and deployment_logs of deployments hold the same of their build and rollout.
ALTER TABLE builds ADD COLUMN log_kept TEXT;
ALTER TABLE ci_builds ADD COLUMN log_kept TEXT;
-- Patterns of tags that a stack deploys when they are pushed. In git_heads, tags are beside branches as refs/tags/<name>.
ALTER TABLE build_configs ADD COLUMN auto_deploy_tags TEXT NOT NULL DEFAULT '[]';
