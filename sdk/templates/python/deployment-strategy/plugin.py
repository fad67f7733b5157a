"""A deployment strategy: starts the new release beside the old one, watches it for a while, switches over, and goes back if
anything is wrong.

It is a function from memory and situation to memory and actions. The host asks again whenever something happened, and may
have died in between, so each call orders what is still missing and looks before it believes.
"""

import json

import windlass
from wit_world import exports
from wit_world.exports.strategy import (
    Action_Finish,
    Action_Route,
    Action_Scale,
    InstanceState_Exited,
    InstanceState_Healthy,
    InstanceState_Unhealthy,
    Outcome_Failed,
    Outcome_RolledBack,
    Outcome_Succeeded,
    Scale,
    Step,
    Weight,
)

PARAMS = {
    "type": "object",
    "properties": {
        "watch_ms": {
            "type": "integer",
            "default": 0,
            "minimum": 0,
            "maximum": 60_000,
            "description": "How long the new release has to be healthy before it gets the requests, in milliseconds",
        }
    },
    "additionalProperties": False,
}
# What starting may take beyond the stack's own health timeout.
GRACE_MS = 5_000


class Manifest(exports.Manifest):
    def describe(self):
        summary = "Watches a new release before it gets the requests"
        return windlass.manifest("deployment-strategy", "{{name}}", "0.1.0", summary, settings=PARAMS)


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
        label, now_at, actions = view.forward(values["watch_ms"]) if trouble is None else view.back(trouble, since)
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


def scale(release, count):
    return Action_Scale(Scale(release, count))


def route_all(release):
    return Action_Route([Weight(release, 100)])


class View:
    """The situation, and what follows from it: each turn is a label, a progress and actions."""

    def __init__(self, situation):
        self.situation, self.stack = situation, situation.stack
        self.now, self.target = situation.now, situation.target.id
        stable = situation.stable
        # The release that served before, unless it is the very one that is deployed again.
        self.old = stable.id if stable and stable.id != self.target else None
        self.fixed_port = any(port.host is not None for port in self.stack.ports)
        # Both releases would write to one volume, so the old one has to go before the new one starts.
        self.alone = self.old is not None and any(not volume.read_only for volume in self.stack.volumes)
        self.patience = self.stack.health_timeout_ms + GRACE_MS

    def of(self, release):
        return [one for one in self.situation.fleet if one.release == release]

    def live(self, release):
        return sum(not isinstance(one.state, InstanceState_Exited) for one in self.of(release))

    def healthy(self, release):
        return sum(isinstance(one.state, InstanceState_Healthy) for one in self.of(release))

    def share(self, release):
        return sum(weight.percent for weight in self.situation.traffic if weight.release == release)

    def serves(self, release):
        return self.healthy(release) > 0 and self.share(release) == 100

    def trouble(self, since):
        """Why the new release will not do."""
        if self.situation.abort_requested:
            return "somebody aborted it"

        def is_lost(one):
            return isinstance(one.state, InstanceState_Unhealthy | InstanceState_Exited) and one.since >= since

        # Deployed again, it may be ill already; and while a fixed port changes hands, the trial instance ends.
        is_judged = self.old is not None and not (self.fixed_port and self.share(self.target) > 0)
        if is_judged and any(is_lost(one) or one.restarts >= 3 for one in self.of(self.target)):
            return "an instance of the new release failed"
        late = self.now >= since + 2 * self.patience
        return "the new release did not become healthy in time" if late else None

    def forward(self, watch_ms):
        target, old, replicas = self.target, self.old, self.stack.replicas
        if self.alone and self.live(old) > 0:
            return "Stopping the old release, which uses the same volume", 10, [scale(old, 0)]
        if self.serves(target):
            actions = [scale(old, 0)] if old is not None else []
            return "The new release serves", 100, [*actions, Action_Finish(Outcome_Succeeded())]
        switching = self.share(target) > 0
        if self.live(target) < replicas and not (switching and self.fixed_port):
            return "Starting the new release", 20, [scale(target, replicas)]
        proven = sum(
            isinstance(one.state, InstanceState_Healthy) and self.now >= one.since + watch_ms for one in self.of(target)
        )
        if proven >= replicas and not switching:
            return "Sending the requests to the new release", 80, [route_all(target)]
        return f"Watching the new release: {proven} of {replicas} instances are good", 50, []

    def back(self, reason, since):
        target, old = self.target, self.old
        if old is None or not self.stack.rollback_on_failure:
            is_idle = old is not None and self.share(target) == 0
            actions = [scale(target, 0)] if is_idle else []
            return "The rollout failed", 100, [*actions, Action_Finish(Outcome_Failed(reason))]
        if self.serves(old):
            actions = [scale(target, 0), Action_Finish(Outcome_RolledBack(reason))]
            return "The old release serves again", 100, actions
        if self.now >= since + 2 * self.patience:
            reason = f"{reason}; and the old release did not come back"
            return "The rollout failed", 100, [Action_Finish(Outcome_Failed(reason))]
        if self.alone and self.live(target) > 0:
            return "Removing the new release", 90, [scale(target, 0)]
        actions = []
        # The instance that held a fixed port is kept, and started again by routing to it.
        is_kept = self.fixed_port and bool(self.of(old))
        if self.live(old) < self.stack.replicas and not is_kept:
            actions.append(scale(old, self.stack.replicas))
        if self.healthy(old) > 0 or is_kept and (self.live(old) == 0 or self.share(old) < 100):
            actions.append(route_all(old))
        return "Bringing the old release back", 90, actions
