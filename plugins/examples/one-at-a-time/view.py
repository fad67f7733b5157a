"""What follows from a situation."""

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
    Weight,
)

# What starting may take beyond the stack's own health timeout.
GRACE_MS = 5_000


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
        # Each instance takes its time; the host's own deadline grants no more than a few such times.
        late = self.now >= since + min(1 + self.stack.replicas, 4) * self.patience
        return "the new release did not become healthy in time" if late else None

    def forward(self, settle_ms):
        target, old, replicas = self.target, self.old, self.stack.replicas
        if self.alone and self.live(old) > 0:
            return "Stopping the old release, which uses the same volume", 10, [scale(old, 0)]
        if self.serves(target):
            actions = [scale(old, 0)] if old is not None else []
            return "The new release serves", 100, [*actions, Action_Finish(Outcome_Succeeded())]
        switching = self.share(target) > 0
        settled = sum(
            isinstance(one.state, InstanceState_Healthy) and self.now >= one.since + settle_ms for one in self.of(target)
        )
        live = self.live(target)
        label = f"Starting the new release one by one: {settled} of {replicas} instances are good"
        # One that is not good yet is waited for. A fixed port is held by one instance, which gets it by the switch.
        if live < replicas and settled == live and not (switching and self.fixed_port):
            return label, 20 + 50 * settled // replicas, [scale(target, live + 1)]
        if settled >= replicas and not switching:
            return "Sending the requests to the new release", 80, [route_all(target)]
        return label, 20 + 50 * min(settled, replicas) // replicas, []

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
