-- A deployment as its forge shows it. forge_id: the forge's own id of it; null until it was shown. forge_state: the state it was
-- shown last, a word of the contract's `deployments`.
ALTER TABLE deployments ADD COLUMN forge_id TEXT;
ALTER TABLE deployments ADD COLUMN forge_state TEXT;
CREATE INDEX deployments_at_forge ON deployments (stack_id, seq) WHERE forge_state IN ('queued', 'in_progress', 'success');
