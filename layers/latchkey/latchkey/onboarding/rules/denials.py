"""Rules for Deny statements: no statement may certainly deny a call that this request needs.

A denied call fails the same way on every attempt, and only the owner of the policy can change that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from latchkey.access.desired import Desired
from latchkey.policies import Document
from latchkey.policies.denials import Caller, Values, denials, of_principal, of_role, of_service, run_by_service, through
from latchkey.systems.readers import AssumedRole, ServicePrincipal

_READ_SECRET = ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue")
_READ_SECRET_POLICY = ("secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy")
_READ_KEY = ("kms:DescribeKey", "kms:GetKeyPolicy", "kms:ListResourceTags")
# The only resource with which a statement of a key policy has an effect. See `ineffective_statements`.
THIS_KEY = "*"


@dataclass(frozen=True)
class FunctionRoles:
    """The ARNs of the roles of the functions that use the key and the secret of a request."""

    attach: str
    configure: str
    create_secret: str
    undo: str
    validate: str


@dataclass(frozen=True)
class Need:
    """The actions on one key or secret that a principal needs."""

    caller: Caller
    actions: tuple[str, ...]


def secret_denials_rule(
    desired: Desired, policy: Document | None, secret_arn: str, roles: FunctionRoles, *, writes: bool, moves: bool
) -> Iterator[str]:
    """The rule that is broken if the policy of the secret denies what its readers or our functions need.

    `writes` means that the policy has to change, and `moves` that the secret has to move to another key.
    """
    known: dict[str, Values] = {"secretsmanager:secretid": (secret_arn,), "secretsmanager:blockpublicpolicy": ("true",)}
    needs = (
        *_reader_needs(desired, secret_arn, roles),
        *_function_needs_of_secret(desired, roles, known, writes=writes, moves=moves),
    )
    yield from _rule(needs, policy, secret_arn, desired)


def _reader_needs(desired: Desired, secret_arn: str, roles: FunctionRoles) -> Iterator[Need]:
    place, reader, role = desired.place, desired.system.reader, desired.role("", secret_arn)
    if isinstance(reader, ServicePrincipal):
        yield Need(of_service(reader.principal, place.region), _READ_SECRET[1:])
        via = reader.via_service(place)
        managers = [of_principal(arn) for arn in desired.request.management_roles]
        own = [] if desired.hands_off else [of_role(roles.configure, place.region)]
        yield from (Need(through(manager, via), _READ_SECRET) for manager in (*own, *managers))
    if isinstance(reader, AssumedRole) and role is not None:
        yield Need(run_by_service(of_role(role.arn(place), place.region, bounded=True)), reader.secret_actions)
    yield from (Need(of_principal(arn), _READ_SECRET[1:]) for arn in desired.request.secret.origin_readers)


def _function_needs_of_secret(
    desired: Desired, roles: FunctionRoles, known: dict[str, Values], *, writes: bool, moves: bool
) -> Iterator[Need]:
    region = desired.place.region
    writing = ("secretsmanager:PutResourcePolicy",) if writes else ()
    moving = ("secretsmanager:UpdateSecret",) if moves else ()
    needed = {
        roles.attach: (*_READ_SECRET_POLICY, *writing, *moving),
        roles.undo: (*_READ_SECRET_POLICY, *writing),
        roles.create_secret: _READ_SECRET,
        roles.validate: (*_READ_SECRET_POLICY, "secretsmanager:ListSecretVersionIds"),
    }
    yield from (Need(of_role(arn, region).with_keys(known), actions) for arn, actions in needed.items())


def key_denials_rule(desired: Desired, policy: Document, roles: FunctionRoles, *, writes: bool, moves: bool) -> Iterator[str]:
    """The rule that is broken if a key policy denies what the readers of the secret or our functions need.

    `writes` means that the policy has to change, and `moves` that an existing secret has to move to this key.
    """
    needs = [*_function_needs_of_key(desired, roles, writes=writes, moves=moves)]
    if desired.reads_secret:
        needs += _decryption_needs(desired, roles)
    yield from _rule(needs, policy, THIS_KEY, desired)


def _function_needs_of_key(desired: Desired, roles: FunctionRoles, *, writes: bool, moves: bool) -> Iterator[Need]:
    region, via = desired.place.region, _secrets_manager(desired)
    known: dict[str, Values] = {"kms:bypasspolicylockoutsafetycheck": (None, "false")}
    writing = ("kms:PutKeyPolicy",) if writes else ()
    attach = of_role(roles.attach, region).with_keys(known)
    yield Need(attach, (*_READ_KEY, *writing))
    yield Need(of_role(roles.undo, region).with_keys(known), (*_READ_KEY, *writing))
    if moves:
        yield Need(through(attach, via), ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"))
    checking = ("kms:GetKeyRotationStatus", "kms:ListGrants")
    yield Need(of_role(roles.validate, region), (*_READ_KEY, *checking))


def _decryption_needs(desired: Desired, roles: FunctionRoles) -> Iterator[Need]:
    place, reader, role, via = desired.place, desired.system.reader, desired.role("", ""), _secrets_manager(desired)
    if isinstance(reader, ServicePrincipal):
        yield Need(through(of_service(reader.principal, place.region), via), ("kms:Decrypt",))
        own = [] if desired.hands_off else [of_role(roles.configure, place.region)]
        managers = (*own, *(of_principal(arn) for arn in desired.request.management_roles))
        yield from (Need(through(manager, reader.via_service(place)), ("kms:CreateGrant",)) for manager in managers)
    if isinstance(reader, AssumedRole) and role is not None:
        run = run_by_service(of_role(role.arn(place), place.region, bounded=True))
        yield Need(through(run, via), ("kms:Decrypt",))
    if desired.needs_secret:
        creator = of_role(roles.create_secret, place.region)
        yield Need(through(creator, via), ("kms:Decrypt", "kms:GenerateDataKey"))
    yield from (Need(through(of_principal(arn), via), ("kms:Decrypt",)) for arn in desired.request.secret.origin_readers)


def restoring_denials(desired: Desired, policy: Document | None, action: str, resource: str, undo_role: str) -> list[str]:
    """The statements that deny the function that rolls back an action, which the service carries out on its behalf."""
    reader, place = desired.system.reader, desired.place
    if not isinstance(reader, ServicePrincipal):
        return []
    undo = through(of_role(undo_role, place.region), reader.via_service(place)).with_keys(_of_resource(place.account))
    return denials(policy, undo, action, resource)


def reading_denials(desired: Desired, policy: Document | None, secret_arn: str) -> list[str]:
    """The statements that deny the reader role what it needs of a secret; none without a reader role."""
    reader, place, role = desired.system.reader, desired.place, desired.role("", secret_arn)
    if not isinstance(reader, AssumedRole) or role is None:
        return []
    run = run_by_service(of_role(role.arn(place), place.region, bounded=True)).with_keys(_of_resource(place.account))
    return sorted({found for action in reader.secret_actions for found in denials(policy, run, action, secret_arn)})


def _rule(needs: Iterable[Need], policy: Document | None, resource: str, desired: Desired) -> Iterator[str]:
    """One rule that lists the principals and actions that each statement denies."""
    found: dict[str, dict[str, set[str]]] = {}
    for need in needs:
        caller = need.caller.with_keys(_of_resource(desired.place.account))
        for action in need.actions:
            for statement in denials(policy, caller, action, resource):
                found.setdefault(statement, {}).setdefault(caller.name, set()).add(action)
    if found:
        denied = "; ".join(
            f"{statement} denies "
            + ", ".join(f"{name} {' and '.join(sorted(actions))}" for name, actions in sorted(callers.items()))
            for statement, callers in found.items()
        )
        yield f"its policy denies calls that this access needs: exempt these principals ({denied})"


def _of_resource(account: str) -> dict[str, Values]:
    return {"aws:resourceaccount": (account,)}


def _secrets_manager(desired: Desired) -> str:
    return f"secretsmanager.{desired.place.region}.amazonaws.com"
