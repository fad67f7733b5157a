-- What is kept of the log of a build that has ended, as JSON: its folder, bytes, lines, the sha256 of its text and its last
-- lines, which outlive the files. build_logs and deployment_logs of deployments hold the same of their build and rollout.
ALTER TABLE builds ADD COLUMN log_kept TEXT;
ALTER TABLE ci_builds ADD COLUMN log_kept TEXT;
