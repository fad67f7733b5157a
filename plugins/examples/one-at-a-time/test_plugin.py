import unittest

from componentize_py_types import Err
from plugin import Strategy
from wit_world.exports.strategy import (
    Action_Finish,
    Action_Scale,
    Instance,
    InstanceState_Exited,
    InstanceState_Healthy,
    InstanceState_Starting,
    Outcome_RolledBack,
    Release,
    Scale,
    Situation,
    Stack,
    Weight,
)

# `windlass plugin simulate` puts the component into thousands of worlds; these tests only show where it begins.

STARTING, HEALTHY, EXITED = InstanceState_Starting(), InstanceState_Healthy(), InstanceState_Exited()


def decide(fleet, traffic, memory=b"", replicas=1):
    def release(name):
        return Release(name, f"app@{name}", "", 1, [])

    stack = Stack("app", replicas, [], [], 10_000, True, [])
    instances = [Instance(of, f"{of}-{n}", state, 1_000, 0, "") for n, (of, state) in enumerate(fleet)]
    weights = [Weight(traffic, 100)]
    situation = Situation(
        stack, release("new"), release("old"), "{}", 1_000, 1_000, 1_000, instances, weights, [], None, False
    )
    return Strategy().decide(memory, situation)


class Deciding(unittest.TestCase):
    def test_the_first_instance_is_started_beside_the_old_release(self):
        self.assertEqual(decide([("old", HEALTHY)], "old", replicas=3).actions, [Action_Scale(Scale("new", 1))])

    def test_the_next_instance_waits_for_the_one_before(self):
        old = [("old", HEALTHY)] * 3
        self.assertEqual(decide([*old, ("new", STARTING)], "old", replicas=3).actions, [])
        started = decide([*old, ("new", HEALTHY)], "old", replicas=3).actions
        self.assertEqual(started, [Action_Scale(Scale("new", 2))])

    def test_a_new_release_that_serves_ends_the_rollout_and_the_old_one_goes(self):
        step = decide([("old", HEALTHY), ("new", HEALTHY)], "new")
        self.assertEqual([type(action) for action in step.actions], [Action_Scale, Action_Finish])

    def test_a_new_release_that_ends_is_given_up(self):
        step = decide([("old", HEALTHY), ("new", EXITED)], "old")
        self.assertIsInstance(step.actions[-1].value, Outcome_RolledBack)

    def test_a_memory_that_is_not_its_own_is_a_failure(self):
        with self.assertRaises(Err) as raised:
            decide([], "old", b"{")
        self.assertEqual(raised.exception.value.code, "unknown-memory")
