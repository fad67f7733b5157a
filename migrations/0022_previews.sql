-- Stacks that show the pull requests of their repository. settings: domain::preview as JSON. Times of the next turn, and of
-- the next question to the forge.
CREATE TABLE preview_watches (
    stack_id      TEXT PRIMARY KEY REFERENCES stacks (id) ON DELETE CASCADE,
    settings      TEXT NOT NULL,
    enabled       BIGINT NOT NULL,
    next_at       BIGINT NOT NULL,
    ask_at        BIGINT NOT NULL,
    -- One node works on a stack's previews at a time.
    claimed_until BIGINT NOT NULL,
    asked_at      BIGINT,
    error         TEXT
);
CREATE INDEX preview_watches_due ON preview_watches (next_at);

-- Open pull requests and what has become of them; stack_id is the stack that shows one.
CREATE TABLE previews (
    parent_id  TEXT NOT NULL REFERENCES stacks (id) ON DELETE CASCADE,
    number     BIGINT NOT NULL,
    title      TEXT NOT NULL,
    url        TEXT NOT NULL,
    branch     TEXT NOT NULL,
    commit_sha TEXT NOT NULL,
    state      TEXT NOT NULL,
    stack_id   TEXT REFERENCES stacks (id) ON DELETE SET NULL,
    deployed   TEXT,
    told       TEXT,
    expires_at BIGINT NOT NULL,
    error      TEXT,
    PRIMARY KEY (parent_id, number)
);
CREATE INDEX previews_by_stack ON previews (stack_id);
