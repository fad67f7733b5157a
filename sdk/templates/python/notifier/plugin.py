"""A notifier: turns an event into the requests that tell about it. The host sends them, and puts the credential in."""

import json

import windlass
from wit_world import exports
from wit_world.exports.renderer import Request, Severity_Info, Severity_Success, Severity_Warning

SETTINGS = {
    "type": "object",
    "properties": {
        "from": {
            "enum": ["info", "warning", "error"],
            "default": "info",
            "description": "The least important events that are told",
        },
        "links": {"type": "boolean", "default": True, "description": "Whether a message links to the dashboard"},
    },
    "additionalProperties": False,
}


class Manifest(exports.Manifest):
    def describe(self):
        return windlass.manifest(
            "notifier",
            "{{name}}",
            "0.1.0",
            "Posts messages to an example chat",
            settings=SETTINGS,
            credentials=[("token", "A token that may post messages", "bearer", True)],
            permissions=[(["POST"], "/messages", "posts messages")],
        )


class Renderer(exports.Renderer):
    def render(self, target, event):
        values, problems = windlass.read_settings(SETTINGS, target.settings)
        if problems:
            raise windlass.failure("invalid-settings", " ".join(f"{one.path}: {one.message}" for one in problems))
        if importance(event.severity) < ["info", "warning", "error"].index(values["from"]):
            return []
        link = event.url if values["links"] else None
        message = {"title": event.title, "text": event.text, "stack": event.stack, "link": link}
        headers = [("content-type", "application/json")]
        return [Request("POST", "/messages", headers, json.dumps(message).encode(), "token", [])]


def importance(severity):
    match severity:
        case Severity_Info() | Severity_Success():
            return 0
        case Severity_Warning():
            return 1
        case _:  # What is not known yet is better told than missed.
            return 2
