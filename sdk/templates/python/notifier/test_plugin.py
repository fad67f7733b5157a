import json
import unittest

from componentize_py_types import Err
from plugin import Renderer
from wit_world.exports.renderer import Event, Severity_Error, Severity_Info, Severity_Warning
from wit_world.imports.types import Connection


def render(settings, severity):
    target = Connection("https://chat.example", settings, [])
    title = "web was not deployed"
    return Renderer().render(target, Event("1", "deployment.failed", 0, severity, title, "", "web", None, "{}", []))


class Notifying(unittest.TestCase):
    def test_an_event_becomes_one_message_with_a_named_credential(self):
        (request,) = render("{}", Severity_Error())
        self.assertEqual((request.path, request.credential), ("/messages", "token"))
        self.assertEqual(json.loads(request.body)["title"], "web was not deployed")

    def test_what_is_less_important_than_asked_for_is_not_told(self):
        self.assertEqual(render('{"from": "error"}', Severity_Warning()), [])

    def test_settings_that_make_no_sense_are_a_failure(self):
        with self.assertRaises(Err) as raised:
            render('{"from": "now"}', Severity_Info())
        self.assertEqual(raised.exception.value.code, "invalid-settings")
