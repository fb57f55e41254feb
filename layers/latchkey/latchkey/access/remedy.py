"""Commands of the AWS CLI that repair what a notice reports. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from latchkey.access.findings.catalog import CATALOG
from latchkey.access.observed import ObservedAccess
from latchkey.aws.secrets import CURRENT, PREVIOUS
from latchkey.events.findings import Finding, FindingKind
from latchkey.requests.models import ONBOARDING_REQUESTED, OnboardingRequest
from latchkey.requests.parsing import parse_onboarding
from latchkey.requests.sender import SOURCE
from latchkey.systems import SYSTEMS
from latchkey.tags import DEFAULT_TENANT

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


def remedied(findings: Iterable[Finding], observed: ObservedAccess | None, again: str, replacing: str) -> tuple[Finding, ...]:
    """The findings with the commands that correct each. `again` sends the request again; `replacing` also replaces the token.

    A finding for which no command is safe without a decision has none, such as a resource that its owner deleted.
    """
    return tuple(one.model_copy(update={"remedy": tuple(_remedy(one, observed, again, replacing))}) for one in findings)


def joint_remedy(findings: Iterable[Finding], again: str, replacing: str) -> tuple[str, ...]:
    """The commands of all findings, each one once, and the request last: it needs what the others correct."""
    commands = [*dict.fromkeys(command for one in findings for command in one.remedy)]
    last = [command for command in (replacing, again) if command in commands][:1]
    return (*(command for command in commands if command not in (again, replacing)), *last)


# A finding of these kinds is corrected by the recorded request, whether or not it is repaired automatically.
_BY_REQUEST = frozenset([FindingKind.KEY_MISSING, FindingKind.SECRET_MISSING, FindingKind.SECRET_REPLACED])
# The cleanup revokes the grant for a secret that is scheduled for deletion. The request makes the service create it again.
_THEN_BY_REQUEST = frozenset([FindingKind.SECRET_PENDING_DELETION])
_NEED_THE_TOKEN = frozenset([FindingKind.RESOURCE_OTHER_SECRET, FindingKind.RESOURCE_NO_TOKEN])


def _remedy(one: Finding, observed: ObservedAccess | None, again: str, replacing: str) -> Iterator[str]:
    if one.kind in _BY_REQUEST or CATALOG[one.kind].remediation == "repair":
        yield again
    elif one.kind in _NEED_THE_TOKEN:
        yield replacing
    elif observed is not None and (commands := _COMMANDS.get(one.kind)):
        yield from commands(observed)
        if one.kind in _THEN_BY_REQUEST:
            yield again


def _enable(observed: ObservedAccess) -> Iterator[str]:
    if observed.key.state in ("Disabled", "PendingDeletion"):
        if observed.key.state == "PendingDeletion":
            yield _command("kms", "cancel-key-deletion", "--key-id", observed.key.arn)
        yield _command("kms", "enable-key", "--key-id", observed.key.arn)


def _key_policy(observed: ObservedAccess) -> Iterator[str]:
    yield _command("kms", "get-key-policy", "--key-id", observed.key.arn, "--query", "Policy", "--output", "text")


def _aliases(observed: ObservedAccess) -> Iterator[str]:
    yield _command("kms", "list-aliases", "--key-id", observed.key.arn)


def _grants(observed: ObservedAccess) -> Iterator[str]:
    yield _command("kms", "list-grants", "--key-id", observed.key.arn)


def _secret(*words: str) -> Callable[[ObservedAccess], Iterator[str]]:
    def commands(observed: ObservedAccess) -> Iterator[str]:
        if observed.secret is not None:
            yield _command("secretsmanager", words[0], "--secret-id", observed.secret.arn, *words[1:])

    return commands


def _move_back(observed: ObservedAccess) -> Iterator[str]:
    if observed.secret is not None:
        named = ("--secret-id", observed.secret.arn, "--kms-key-id", observed.key.arn)
        yield _command("secretsmanager", "update-secret", *named)


def _replicate(observed: ObservedAccess) -> Iterator[str]:
    for replica in observed.secret.replicas if observed.secret else ():
        if replica.status == "Failed":
            named = ("--secret-id", observed.secret.arn) if observed.secret else ()
            yield _command(
                "secretsmanager", "replicate-secret-to-regions", *named, "--add-replica-regions", f"Region={replica.region}"
            )


def _previous_value(observed: ObservedAccess) -> Iterator[str]:
    """Makes the previous version the current one again, if there is one."""
    secret = observed.secret
    current, previous = (secret.version(CURRENT), secret.version(PREVIOUS)) if secret else (None, None)
    if secret is not None and current is not None and previous is not None:
        moved = ("--version-stage", CURRENT, "--move-to-version-id", previous, "--remove-from-version-id", current)
        yield _command("secretsmanager", "update-secret-version-stage", "--secret-id", secret.arn, *moved)


def _foreign_policies(observed: ObservedAccess) -> Iterator[str]:
    if observed.role is not None:
        name = observed.role.arn.rpartition("/")[2]
        for other in observed.role.others:
            attached = other.startswith("arn:")
            verb, member = ("detach-role-policy", "--policy-arn") if attached else ("delete-role-policy", "--policy-name")
            yield _command("iam", verb, "--role-name", name, member, other)


_COMMANDS: Final[Mapping[FindingKind, Callable[[ObservedAccess], Iterator[str]]]] = MappingProxyType(
    {
        FindingKind.KEY_DISABLED: _enable,
        FindingKind.KEY_PENDING_DELETION: _enable,
        FindingKind.KEY_ALIAS_MOVED: _aliases,
        FindingKind.KEY_POLICY_NOT_DELEGATING: _key_policy,
        FindingKind.KEY_POLICY_DELETED_PRINCIPAL: _key_policy,
        FindingKind.SECRET_PENDING_DELETION: _secret("restore-secret"),
        FindingKind.SECRET_UNDER_OTHER_KEY: _move_back,
        FindingKind.SECRET_WRONG_SHAPE: _previous_value,
        FindingKind.SECRET_REPLICA_DIVERGED: _replicate,
        FindingKind.SECRET_POLICY_EXCLUDES_READER: _secret("get-resource-policy"),
        FindingKind.SECRET_POLICY_PUBLIC: _secret("get-resource-policy"),
        FindingKind.SECRET_POLICY_ADMITS_OTHERS: _secret("get-resource-policy"),
        FindingKind.SECRET_POLICY_DELETED_PRINCIPAL: _secret("get-resource-policy"),
        FindingKind.ROLE_FOREIGN_POLICY: _foreign_policies,
        FindingKind.GRANT_STALE: _grants,
        FindingKind.GRANT_DUPLICATE: _grants,
        FindingKind.GRANT_WIDER_OPERATIONS: _grants,
        FindingKind.GRANT_UNKNOWN_PRINCIPAL: _grants,
    }
)


def revocation(key_arn: str, grant_id: str) -> tuple[str, ...]:
    """The command with which an administrator of the key revokes a grant."""
    return (_command("kms", "revoke-grant", "--key-id", key_arn, "--grant-id", grant_id),)


def _command(*words: str) -> str:
    return shlex.join(["aws", *words])
