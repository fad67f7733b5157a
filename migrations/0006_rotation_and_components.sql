-- A webhook's secret is rotated without a gap: for a while the previous one counts as well. Both are sealed alike.
ALTER TABLE git_repositories ADD COLUMN previous_webhook_secret TEXT;
ALTER TABLE git_repositories ADD COLUMN previous_webhook_secret_until BIGINT;

-- Which secret verified the delivery: current, previous or global.
ALTER TABLE webhook_events ADD COLUMN matched_secret TEXT;

-- Components that were installed through the API, by their sha256, so that every node has them and a lost data folder
-- does not take them along. component is a Zstandard frame.
CREATE TABLE plugin_components (
    digest     TEXT PRIMARY KEY,
    component  BYTEA NOT NULL,
    size_bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
