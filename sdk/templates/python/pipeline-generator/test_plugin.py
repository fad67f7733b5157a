import json
import unittest

from plugin import Generator
from wit_world.exports.generator import Environment, Host, Model, Repository, Script


def model(script="test.sh", environment="staging"):
    return Model(
        "nightly",
        "",
        Repository("https://forge.example/a.git", "main"),
        [Environment("staging", [], True, [])],
        [Host("one", "10.0.0.1", environment)],
        [Script(script, [])],
        [],
        None,
        None,
        "{}",
        [],
    )


def stage(of):
    (file,) = Generator().generate(of)
    return json.loads(file.content)["stages"][0]


class Generating(unittest.TestCase):
    def test_each_environment_is_a_stage_with_its_hosts(self):
        self.assertEqual(stage(model())["hosts"], ["10.0.0.1"])

    def test_a_text_cannot_break_out_of_its_place(self):
        script = 'x", "run": "rm -rf /\n'
        self.assertEqual(stage(model(script))["steps"], [{"run": script, "with": {}}])

    def test_a_host_of_no_environment_is_a_problem_at_its_place(self):
        (problem,) = Generator().validate(model(environment="moon"))
        self.assertEqual(problem.path, "/hosts/0/environment")
