import unittest

from componentize_py_types import Err
from plugin import Planner
from wit_world.exports.planner import BuildConfig, Context


def plan(files, folder=None):
    config = BuildConfig("{{name}}".replace("-", "_"), folder, None, None, None, [], [], [], 60, [])
    return Planner().plan(Context("shop", "main", "0123456789abcdef" * 2 + "01234567", files, config))


class Planning(unittest.TestCase):
    def test_the_first_usual_place_is_taken(self):
        (step,) = plan(["build/Dockerfile", "docker/Dockerfile"])
        self.assertEqual((step.value.dockerfile_path, step.value.tags), ("docker/Dockerfile", ["shop:0123456789ab"]))

    def test_a_missing_dockerfile_is_named(self):
        with self.assertRaises(Err) as raised:
            plan(["README.md"])
        self.assertEqual(raised.exception.value.code, "file-missing")

    def test_a_path_that_leads_out_is_refused(self):
        for folder in ["..", "/etc", "a/../../b", "-o", "a\nb", ""]:
            with self.subTest(folder), self.assertRaises(Err) as raised:
                plan(["Dockerfile"], folder)
            self.assertEqual(raised.exception.value.code, "invalid-configuration")
