import unittest
from unittest.mock import patch

from componentize_py_types import Err
from plugin import Provider
from wit_world.exports.provider import Trigger
from wit_world.imports import http
from wit_world.imports.windlass_ci_provider_types import BuildStatus_Pending
from wit_world.imports.windlass_types_types import Connection

CONNECTION = Connection("https://ci.example", "{}", [])


def answering(answer):
    """While it lasts, `answer` stands in for the other side: it gets each request and returns or raises."""
    return patch.object(http, "send", answer)


class Running(unittest.TestCase):
    def test_a_build_is_started_once_by_its_key(self):
        def answer(request):
            asked = (request.method, request.path, request.idempotency_key)
            self.assertEqual(asked, ("POST", "/jobs/a%20b/builds", "k1"))
            return http.Response(201, [], b'{"id":"7","state":"queued"}')

        with answering(answer):
            build = Provider().trigger_job(CONNECTION, "a b", Trigger(None, [], "k1", []))
        self.assertEqual((build.id, build.status), ("7", BuildStatus_Pending()))

    def test_a_build_that_the_vendor_does_not_know_is_named(self):
        with answering(lambda request: http.Response(404, [], b"")), self.assertRaises(Err) as raised:
            Provider().get_build_status(CONNECTION, "a", "9")
        self.assertEqual(raised.exception.value.code, "no-such-build")

    def test_the_log_goes_on_at_its_cursor(self):
        def answer(request):
            self.assertEqual(request.path, "/jobs/a/builds/7/log?from=12")
            return http.Response(200, [("x-next", "17")], b"more\n")

        with answering(answer):
            chunk = Provider().get_build_logs(CONNECTION, "a", "7", "12")
        self.assertEqual((chunk.text, chunk.cursor, chunk.complete), ("more\n", "17", False))

    def test_a_time_out_may_have_had_its_effect_and_a_refusal_has_not(self):
        for error, sent in [(http.Error_Timeout(), True), (http.Error_Denied("why"), False)]:

            def answer(request, error=error):
                raise Err(error)

            with self.subTest(error), answering(answer), self.assertRaises(Err) as raised:
                Provider().cancel_build(CONNECTION, "a", "7")
            self.assertEqual(raised.exception.value.request_sent, sent)
