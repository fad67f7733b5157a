-- Where people and programs are told what happened. settings are the plugin's; credentials is sealed JSON by slot, and a slot
-- named <slot>-previous counts until previous_until. private_network says that the installation's administrators know that the
-- URL leads into a private network.
CREATE TABLE notification_channels (
    id              TEXT PRIMARY KEY,
    seq             BIGINT NOT NULL UNIQUE,
    team_id         TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    plugin          TEXT NOT NULL,
    url             TEXT NOT NULL,
    settings        TEXT NOT NULL,
    credentials     TEXT,
    previous_until  BIGINT,
    private_network BIGINT NOT NULL CHECK (private_network IN (0, 1)),
    certificates    TEXT,
    enabled         BIGINT NOT NULL CHECK (enabled IN (0, 1)),
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL
);
CREATE UNIQUE INDEX notification_channels_by_name ON notification_channels (team_id, name);

-- What a channel is told; plan is JSON. Without a stack, it is about all stacks of the channel's team.
CREATE TABLE notification_rules (
    id         TEXT PRIMARY KEY,
    seq        BIGINT NOT NULL UNIQUE,
    channel_id TEXT NOT NULL REFERENCES notification_channels (id) ON DELETE CASCADE,
    stack_id   TEXT REFERENCES stacks (id) ON DELETE CASCADE,
    plan       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX notification_rules_by_channel ON notification_rules (channel_id, seq);
CREATE INDEX notification_rules_by_stack ON notification_rules (stack_id) WHERE stack_id IS NOT NULL;

-- What is not well by a rule's own reckoning, so that it is not told again and again, and its end is.
CREATE TABLE notification_troubles (
    rule_id TEXT NOT NULL REFERENCES notification_rules (id) ON DELETE CASCADE,
    subject TEXT NOT NULL,
    since   BIGINT NOT NULL,
    told_at BIGINT NOT NULL,
    times   BIGINT NOT NULL,
    PRIMARY KEY (rule_id, subject)
);

-- What a channel was or is to be told. told is JSON: the events that went into it. As long as nobody has tried to send it,
-- further ones of the same rule and stack join it.
CREATE TABLE notification_deliveries (
    id            TEXT PRIMARY KEY,
    seq           BIGINT NOT NULL UNIQUE,
    channel_id    TEXT NOT NULL REFERENCES notification_channels (id) ON DELETE CASCADE,
    rule_id       TEXT REFERENCES notification_rules (id) ON DELETE SET NULL,
    topic         TEXT NOT NULL,
    told          TEXT NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('pending', 'retrying', 'delivered', 'skipped', 'dead')),
    attempts      BIGINT NOT NULL,
    requests_sent BIGINT NOT NULL,
    last_status   BIGINT,
    reason        TEXT,
    next_at       BIGINT NOT NULL,
    deadline_at   BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    finished_at   BIGINT
);
CREATE INDEX notification_deliveries_by_channel ON notification_deliveries (channel_id, seq);
CREATE INDEX notification_deliveries_by_rule ON notification_deliveries (rule_id) WHERE rule_id IS NOT NULL;
CREATE INDEX notification_deliveries_open ON notification_deliveries (rule_id, topic, seq) WHERE status = 'pending';
CREATE INDEX notification_deliveries_by_age ON notification_deliveries (created_at);
CREATE INDEX notification_deliveries_unfinished ON notification_deliveries (next_at) WHERE status IN ('pending', 'retrying');

-- notified is the number of the last event that rules were asked about. What happened before is nobody's news.
INSERT INTO counters (name, value) VALUES ('notification_channels', 0), ('notification_rules', 0), ('notification_deliveries', 0);
INSERT INTO counters (name, value) SELECT 'notified', value FROM counters WHERE name = 'events';
