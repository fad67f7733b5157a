import pathlib
import unittest

from componentize_py_types import Err
from plugin import Forge
from wit_world.exports.forge import ChangeKind_BranchPushed, Event_Push
from wit_world.imports.types import Delivery

FIXTURES = pathlib.Path(__file__).parent / "fixtures"


def read(body):
    return Forge().parse_webhook(Delivery([], body))


class Reading(unittest.TestCase):
    def test_a_push_names_repository_branch_and_commit(self):
        event = read((FIXTURES / "push.json").read_bytes())
        self.assertIsInstance(event, Event_Push)
        (change,) = event.value.changes
        self.assertEqual((event.value.repository.full_name, change.name), ("team/app", "main"))
        self.assertEqual((change.kind, change.after, change.skip_ci), (ChangeKind_BranchPushed(), "2" * 40, False))

    def test_a_push_without_a_ref_is_malformed(self):
        with self.assertRaises(Err) as raised:
            read(b'{"event":"push","repository":{"name":"a","clone_url":"b"}}')
        self.assertEqual(raised.exception.value.code, "malformed-payload")
