"""Commands of the AWS CLI that repair what a notice reports. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Iterator
from typing import Any

from latchkey.access.observed import ObservedAccess
from latchkey.access.principals import NO_DELETED_IN_KEY_POLICY, NO_DELETED_IN_SECRET_POLICY
from latchkey.requests.models import ONBOARDING_REQUESTED, OnboardingRequest
from latchkey.requests.parsing import parse_onboarding
from latchkey.requests.sender import SOURCE
from latchkey.systems import SYSTEMS
from latchkey.tags import DEFAULT_TENANT

_KEY, _SECRET = "key is enabled", "secret is not being deleted"
# These fail as long as the secret is being deleted, because its policy is not read.
_OF_DELETED_SECRET = frozenset(["secret policy admits the reader"])


# What a sender consented to once. A remedy does not repeat it: an interruption, another key of the secret, another token.
_CONSENTS = frozenset(["move", "moveKey", "replacesToken", "takesEffectNow"])


def request_again(request: OnboardingRequest[Any], bus: str, tenant: str, *, replaces: bool) -> str:
    """The command that sends a request again. Without a requestId, the id of the new event is the id of the request.

    The request keeps the value that the secret has now. If the secret is lost, a new value waits until it is confirmed that
    those who use the resource have it. With `replaces`, the request consents to replace what the resource authenticates with
    now. Whoever runs the command decides.
    """
    source = SOURCE if tenant == DEFAULT_TENANT else f"{SOURCE}.{tenant}"
    detail = _repeated(request)
    if replaces and SYSTEMS[request.system].secret is not None:
        detail["secret"] |= {"replacesToken": True}
    entry = {"EventBusName": bus, "Source": source, "DetailType": ONBOARDING_REQUESTED, "Detail": json.dumps(detail)}
    return _command("events", "put-events", "--entries", json.dumps([entry]))


def repair_request(request: OnboardingRequest[Any], request_id: str) -> OnboardingRequest[Any]:
    """The request that repairs an access: the recorded one, which keeps the value of its secret and consents to nothing."""
    return parse_onboarding(_repeated(request) | {"requestId": request_id}, is_new=False)


def _repeated(request: OnboardingRequest[Any]) -> dict[str, Any]:
    """The detail of a request to be repeated: without its ID and what its sender consented to, and with `keepsValue`."""
    detail = {name: value for name, value in request.recorded.items() if name not in _CONSENTS | {"requestId"}}
    if SYSTEMS[request.system].secret is not None:
        secret = {name: value for name, value in detail.get("secret", {}).items() if name not in _CONSENTS}
        keeps = {"keepsValue": True} if request.secret.value.existing is None else {}
        detail["secret"] = secret | keeps
    if "key" in detail:
        detail["key"] = {name: value for name, value in detail["key"].items() if name not in _CONSENTS}
    return detail


def repairs(failed: Collection[str], observed: ObservedAccess | None, again: str) -> tuple[str, ...]:
    """The commands that make these checks pass. `observed` is None if the key or the secret does not exist."""
    return tuple(_repairs({*failed}, observed, again)) if failed else ()


def _repairs(failed: set[str], observed: ObservedAccess | None, again: str) -> Iterator[str]:
    if observed is not None and _KEY in failed and observed.key.state in ("Disabled", "PendingDeletion"):
        failed -= {_KEY}
        if observed.key.state == "PendingDeletion":
            yield _command("kms", "cancel-key-deletion", "--key-id", observed.key.arn)
        yield _command("kms", "enable-key", "--key-id", observed.key.arn)
    if observed is not None and observed.secret is not None and _SECRET in failed:
        failed -= {_SECRET, *_OF_DELETED_SECRET}
        yield _command("secretsmanager", "restore-secret", "--secret-id", observed.secret.arn)
    # Their owners must remove these principals before Latchkey can write the policy.
    if observed is not None and NO_DELETED_IN_KEY_POLICY in failed:
        yield _command("kms", "get-key-policy", "--key-id", observed.key.arn, "--query", "Policy", "--output", "text")
    if observed is not None and observed.secret is not None and NO_DELETED_IN_SECRET_POLICY in failed:
        yield _command("secretsmanager", "get-resource-policy", "--secret-id", observed.secret.arn)
    if failed:
        yield again


def revocation(key_arn: str, grant_id: str) -> tuple[str, ...]:
    """The command with which an administrator of the key revokes a grant."""
    return (_command("kms", "revoke-grant", "--key-id", key_arn, "--grant-id", grant_id),)


def _command(*words: str) -> str:
    return shlex.join(["aws", *words])
