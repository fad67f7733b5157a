-- When a job's provider is next asked whether somebody else has started a build; null for jobs that nobody watches.
ALTER TABLE cicd_jobs ADD COLUMN look_at BIGINT;
UPDATE cicd_jobs SET look_at = 0 WHERE made_at IS NOT NULL;
CREATE INDEX cicd_jobs_by_look ON cicd_jobs (look_at) WHERE look_at IS NOT NULL;
