-- Engines besides the local one, by name: stacks say by name where they run, and a target that a stack names stays. routes is
-- the address at which the router reaches published ports; a swarm's services are reached at its nodes and it has none.
-- credentials is sealed; health is JSON and says how the engine answered lately.
CREATE TABLE targets (
    id          TEXT PRIMARY KEY,
    seq         BIGINT NOT NULL UNIQUE,
    name        TEXT NOT NULL UNIQUE,
    kind        TEXT NOT NULL CHECK (kind IN ('engine', 'swarm')),
    address     TEXT NOT NULL,
    routes      TEXT,
    credentials TEXT,
    health      TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

-- NULL: the engine of the server's own configuration.
ALTER TABLE stacks ADD COLUMN target TEXT REFERENCES targets (name);
CREATE INDEX stacks_by_target ON stacks (target) WHERE target IS NOT NULL;

INSERT INTO counters (name, value) VALUES ('targets', 0);
