"""A git forge: turns what a vendor posts into what happened to which ref.

The host has verified the signature by what the manifest declares; the plugin never sees the secret.
"""

import re

import windlass
from wit_world import exports
from wit_world.exports.forge import (
    Change,
    ChangeKind_BranchDeleted,
    ChangeKind_BranchPushed,
    ChangeKind_TagDeleted,
    ChangeKind_TagPushed,
    Commit,
    Event_Ping,
    Event_Push,
    Event_Unsupported,
    Push,
    Repository,
)
from wit_world.exports.manifest import WebhookContract, WebhookScheme

SKIP_CI = re.compile(r"\[(skip ci|ci skip|no ci|skip actions|actions skip)\]", re.IGNORECASE)


class Manifest(exports.Manifest):
    def describe(self):
        signed = WebhookScheme("hmac-sha256", "hmac-sha256", "x-signature", "sha256=", "hex", "{body}", [])
        contract = WebhookContract([signed], ["x-delivery"], ["x-event"])
        summary = "Reads the webhooks of an example forge"
        return windlass.manifest("git-forge", "{{name}}", "0.1.0", summary, webhooks=contract)


class Forge(exports.Forge):
    def parse_webhook(self, delivery):
        try:
            body = windlass.parse(delivery.body)
        except ValueError as error:
            raise malformed(f"The body is no JSON: {error}.") from error
        match text(body, "event"):
            case "ping":
                return Event_Ping()
            case "push":
                return Event_Push(push(body))
            case other:
                return Event_Unsupported(other)


def malformed(message):
    return windlass.failure("malformed-payload", message)


def text(values, name, otherwise=None):
    value = values.get(name, otherwise) if isinstance(values, dict) else None
    if not isinstance(value, str):
        raise malformed(f"`{name}` has to be a text.")
    return value


def push(body):
    reference, message = text(body, "ref"), text(body, "message", "")
    # Zeros only are git's way to say that there is no commit.
    before = text(body, "before", "").strip("0") and text(body, "before")
    after = text(body, "after", "").strip("0") and text(body, "after")
    if reference.startswith("refs/heads/"):
        kind, name = ChangeKind_BranchPushed() if after else ChangeKind_BranchDeleted(), reference[len("refs/heads/") :]
    elif reference.startswith("refs/tags/"):
        kind, name = ChangeKind_TagPushed() if after else ChangeKind_TagDeleted(), reference[len("refs/tags/") :]
    else:
        raise malformed(f"`{reference}` is neither a branch nor a tag.")
    head = Commit(after, message, "", None) if after else None
    change = Change(kind, name, before or None, after or None, head, bool(SKIP_CI.search(message)), [], [])
    vendors = body.get("repository")
    urls, default = [text(vendors, "clone_url")], text(vendors, "default_branch", "") or None
    return Push(Repository(text(vendors, "name"), urls, default), text(body, "sender", ""), [change])
