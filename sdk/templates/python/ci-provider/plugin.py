"""A CI/CD provider: makes jobs at a vendor, runs them, and says how they ended.

Each call is a short step of one or two requests.
"""

from urllib.parse import quote

import windlass
from vendor import header, read, send, success
from wit_world import exports
from wit_world.exports.provider import Account, Job, LogChunk
from wit_world.imports.windlass_ci_provider_types import (
    Build,
    BuildStatus_Cancelled,
    BuildStatus_Failure,
    BuildStatus_Other,
    BuildStatus_Pending,
    BuildStatus_Running,
    BuildStatus_Success,
)

WORDS = {
    "queued": BuildStatus_Pending(),
    "running": BuildStatus_Running(),
    "passed": BuildStatus_Success(),
    "failed": BuildStatus_Failure(),
    "stopped": BuildStatus_Cancelled(),
}


class Manifest(exports.Manifest):
    def describe(self):
        return windlass.manifest(
            "ci-provider",
            "{{name}}",
            "0.1.0",
            "Runs the jobs of an example vendor",
            credentials=[("token", "A token with the right `run`", "bearer", True)],
            permissions=[
                (["GET"], "/me", "tests the connection"),
                (["GET", "PUT", "POST", "DELETE"], "/jobs/**", "makes, runs, reads and deletes jobs"),
            ],
        )


class Provider(exports.Provider):
    def test_connection(self, connection):
        return Account(text(read(success(send("GET", "/me"))), "login"), "", [])

    def create_job(self, connection, spec):
        pipeline = spec.pipeline[0].content if spec.pipeline else None
        body = {"repository": spec.repository_url, "branch": spec.branch, "pipeline": pipeline}
        success(send("PUT", job_path(spec.name), body))
        return job(spec.name)

    def trigger_job(self, connection, job, trigger):
        body = {"ref": trigger.ref_name, "key": trigger.idempotency_key}
        response = send("POST", f"{job_path(job)}/builds", body, trigger.idempotency_key)
        return build(found(response, "no-such-job", job))

    def get_job_status(self, connection, id):
        # A proxy's page says nothing about a job, and is no JSON.
        read(found(send("GET", job_path(id)), "no-such-job", id))
        return job(id)

    def get_build_status(self, connection, job, id):
        return build(found(send("GET", build_path(job, id)), "no-such-build", id))

    def get_build_logs(self, connection, job, id, cursor):
        since = "0" if cursor is None else cursor
        response = send("GET", f"{build_path(job, id)}/log?from={quote(since, safe='')}")
        found(response, "no-such-build", id)
        text = response.body.decode(errors="replace")
        return LogChunk(text, header(response, "x-next") or since, header(response, "x-complete") == "true")

    def cancel_build(self, connection, job, id):
        success(send("POST", f"{build_path(job, id)}/cancel"))

    def delete_job(self, connection, id):
        response = send("DELETE", job_path(id))
        # One that is not there is deleted already.
        if response.status != 404:
            success(response)


def job_path(id):
    return f"/jobs/{quote(id, safe='')}"


def build_path(job, id):
    return f"{job_path(job)}/builds/{quote(id, safe='')}"


def job(id):
    return Job(id, id, None, None, True, None, [])


def found(response, code, what):
    """A successful response; a 404 is the failure of that code."""
    if response.status == 404:
        raise windlass.failure(code, f"The vendor knows no `{what}`.", request_sent=True)
    return success(response)


def text(values, name):
    value = values.get(name) if isinstance(values, dict) else None
    if not isinstance(value, str):
        raise windlass.failure("malformed-answer", f"The vendor's answer has no `{name}`.", request_sent=True)
    return value


def build(response):
    values = read(response)
    state = text(values, "state")
    return Build(text(values, "id"), "", WORDS.get(state, BuildStatus_Other(state)), None, None, None, None, [])
