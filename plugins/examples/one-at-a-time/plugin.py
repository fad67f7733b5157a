"""Starts the instances of the new release one after the other, switches over when all are healthy, and goes back if anything
is wrong.

It is a function from memory and situation to memory and actions. The host asks again whenever something happened, and may
have died in between, so each call orders what is still missing and looks before it believes.
"""

import json

import windlass
from view import View
from wit_world import exports
from wit_world.exports.strategy import Step

PARAMS = {
    "type": "object",
    "properties": {
        "settle_ms": {
            "type": "integer",
            "default": 0,
            "minimum": 0,
            "maximum": 60_000,
            "description": "How long an instance has to be healthy before the next one starts, in milliseconds",
        }
    },
    "additionalProperties": False,
}


class Manifest(exports.Manifest):
    def describe(self):
        summary = "Starts the new instances one after the other, and switches over when all are healthy"
        return windlass.manifest("deployment-strategy", "one-at-a-time", "0.1.0", summary, settings=PARAMS)


class Strategy(exports.Strategy):
    def validate(self, params, stack):
        return windlass.read_settings(PARAMS, params)[1]

    def decide(self, memory, situation):
        values, problems = windlass.read_settings(PARAMS, situation.params)
        if problems:
            raise windlass.failure("invalid-parameters", "The parameters are not valid.")
        # `since`: when the present attempt began; `trouble`: why the new release is given up.
        since, trouble, progress = recall(memory) or (situation.now, None, 0)
        view = View(situation)
        if trouble is None:
            trouble = view.trouble(since)
            if trouble is not None:
                since = situation.now
        label, now_at, actions = view.forward(values["settle_ms"]) if trouble is None else view.back(trouble, since)
        # Progress never falls, whatever becomes of the instances.
        progress = max(progress, now_at)
        return Step(json.dumps([since, trouble, progress]).encode(), label, progress, actions, 1_000)


def recall(memory):
    if not memory:
        return None
    try:
        since, trouble, progress = windlass.parse(memory)
        if isinstance(since, int) and isinstance(trouble, str | None) and isinstance(progress, int):
            return since, trouble, min(max(progress, 0), 100)
    except (TypeError, ValueError):
        pass
    raise windlass.failure("unknown-memory", "The memory is none of this plugin.")
