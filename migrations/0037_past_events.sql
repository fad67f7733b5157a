-- Past events are listed by their kind, and those of one stack by kind or by what they are about.
CREATE INDEX events_by_kind ON events (kind, seq);
CREATE INDEX events_by_stack_kind ON events (stack_id, kind, seq) WHERE stack_id IS NOT NULL;
CREATE INDEX events_by_subject ON events (stack_id, subject_id, seq) WHERE stack_id IS NOT NULL AND subject_id IS NOT NULL;
