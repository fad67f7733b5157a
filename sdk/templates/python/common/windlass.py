"""What plugins in Python share. It is yours: change it as you like."""

import json
import re

from componentize_py_types import Err
from wit_world.exports import manifest as wit

try:
    from wit_world.imports.types import Disposition_Permanent, Failure, Problem
except ModuleNotFoundError:  # The names are longer where another interface is named `types` as well.
    from wit_world.imports.windlass_types_types import Disposition_Permanent, Failure, Problem


def manifest(kind, name, version, summary, settings=None, credentials=(), permissions=(), webhooks=None):
    """The manifest; what is left out is empty. `settings` is a JSON Schema 2020-12 object, `credentials` are tuples of
    name, summary, injection and whether it is required, `permissions` of methods, path and reason."""
    slots = [wit.CredentialSlot(*slot, extras=[]) for slot in credentials]
    asked = [wit.Permission(*permission, extras=[]) for permission in permissions]
    return wit.Manifest(name, version, summary, [kind], json.dumps(settings or {}), slots, asked, webhooks, [])


def failure(code, message, disposition=Disposition_Permanent(), request_sent=False):
    """To be raised: why a call could not do its work."""
    return Err(Failure(disposition, code, message, request_sent, []))


_DEPTH = 100
_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[][{}]', re.DOTALL)


def parse(text):
    """JSON from outside, as text or bytes; raises a ValueError. A deeper nesting would end the instance instead of the
    parser."""
    if isinstance(text, bytes):
        text = text.decode()
    if text.count("[") + text.count("{") > _DEPTH:
        depth = 0
        for found in _BRACKETS.finditer(text):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
            if depth > _DEPTH:
                raise ValueError(f"it is nested more than {_DEPTH} deep")
    return json.loads(text)


def read_settings(schema, text):
    """Settings or parameters by a flat schema: what was given and the defaults, and what is wrong with it."""
    properties = schema.get("properties", {})
    values = {name: what.get("default") for name, what in properties.items()}
    try:
        given = parse(text)
    except ValueError as error:
        return values, [Problem("", f"This is no JSON: {error}.")]
    if not isinstance(given, dict):
        return values, [Problem("", "This has to be an object.")]
    problems = []
    for name, value in given.items():
        if name in properties:
            wrong = _complaint(properties[name], value)
        else:
            wrong = f"This is not known; there are {', '.join(properties)}."
        if wrong:
            problems.append(Problem("/" + name.replace("~", "~0").replace("/", "~1"), wrong))
        else:
            values[name] = value
    return values, problems


_TYPES = {"array": list, "boolean": bool, "integer": int, "number": (int, float), "string": str}


def _complaint(what, value):
    if "enum" in what:
        return "" if value in what["enum"] else f"This has to be one of {', '.join(map(str, what['enum']))}."
    kind = what["type"]
    # A bool is an int to Python.
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return f"This has to be of the type {kind}."
    least, most = what.get("minimum", value), what.get("maximum", value)
    return "" if least <= value <= most else f"This has to be from {least} to {most}."
