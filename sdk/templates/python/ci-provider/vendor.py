"""Requests to the connection. The credential is only named; the host injects it."""

import json

import windlass
from componentize_py_types import Err
from wit_world.imports import http
from wit_world.imports.windlass_types_types import (
    Disposition_AuthRequired,
    Disposition_Permanent,
    Disposition_RateLimited,
    Disposition_Retry,
)


def send(method, path, body=None, idempotency_key=None):
    """The response to one request; raises a failure if there is none."""
    headers = [] if body is None else [("content-type", "application/json")]
    content = b"" if body is None else json.dumps(body).encode()
    try:
        return http.send(http.Request(method, path, headers, content, "token", idempotency_key, None))
    except Err as error:
        raise unanswered(error.value) from error


def header(response, name):
    return next((value for known, value in response.headers if known == name), None)


def read(response):
    """The response's JSON."""
    try:
        return windlass.parse(response.body)
    except ValueError as error:
        message = f"The vendor's answer is no JSON: {error}."
        raise windlass.failure("malformed-answer", message, request_sent=True) from error


def success(response):
    """A response that is a success; anything else is raised as the failure that it means."""
    status, after = response.status, header(response, "retry-after") or ""
    if 200 <= status <= 299:
        return response
    pause = int(after) if after.isascii() and after.isdigit() and len(after) < 10 else None
    if status == 401 or (status == 403 and pause is None):
        disposition = Disposition_AuthRequired()
    elif status in (403, 429):
        disposition = Disposition_RateLimited(pause)
    elif status == 408 or status >= 500:
        disposition = Disposition_Retry(pause)
    else:
        disposition = Disposition_Permanent()
    message = f"The vendor answered with status {status}."
    raise windlass.failure(f"status-{status}", message, disposition, request_sent=True)


def unanswered(error):
    again = isinstance(error, http.Error_Timeout | http.Error_Connect | http.Error_Other)
    never = isinstance(error, http.Error_Denied | http.Error_AddressRefused | http.Error_Tls)
    disposition = Disposition_Retry(None) if again else Disposition_Permanent()
    code = f"request-{type(error).__name__.removeprefix('Error_').lower()}"
    message = f"The request got no answer: {getattr(error, 'value', code)}."
    return windlass.failure(code, message, disposition, request_sent=not never)
