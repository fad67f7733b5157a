-- How a stack is reached through the router, as JSON; routed is 1 where it is.
ALTER TABLE stacks ADD COLUMN traffic TEXT NOT NULL DEFAULT '{}';
ALTER TABLE stacks ADD COLUMN routed BIGINT NOT NULL DEFAULT 0;
CREATE INDEX stacks_routed ON stacks (routed, seq);
