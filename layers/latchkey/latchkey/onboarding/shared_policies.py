"""Policies that several accesses share: merging our statements into one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from latchkey import policies
from latchkey.access.bounds import Bounds, bounds_problems
from latchkey.access.desired import Desired, Share, desire
from latchkey.errors import Conflict, TransientAwsError
from latchkey.policies import Document, Statement
from latchkey.registry import Registry
from latchkey.removal.policies import SharedPolicy


def merge_into(
    policy: SharedPolicy,
    own: Share,
    others: Callable[[], Iterable[Share]],
    registry: Registry,
    note: Callable[[list[Statement]], None],
    require_approval: Callable[[], None] | None = None,
) -> bool:
    """Merges our statements into a policy under a lease, and returns whether the policy lacked a needed statement.

    `note` records the parts that this request adds before they are written. `require_approval` raises if an owner no longer
    consents. A key needs no such check, because the role can write only the policies of approved keys. The statements of the
    other accesses are merged as well, because a read can return an older policy than the last one written. The statements of
    earlier versions are replaced with the present form. Raises TransientAwsError if a statement is missing afterwards, because
    a person can write the policy without the lease. Raises Conflict if the policy is longer than AWS accepts.
    """
    present = policy.read()
    if not policies.missing_from(present, own.needed):
        return False
    # Before the wait: another request can write the statements of all waiting requests, including this one.
    noted = _added(present, own)
    note(noted)
    with registry.lease(policy.name, lambda: not policies.missing_from(policy.read(), own.needed)) as lease:
        if lease is None:
            return True
        shares = [*others(), own]
        present = _noted_last(policy, own, noted, note, require_approval)
        # No call between the last read and the write: AWS has no conditional write, so a change in between would be lost.
        merged = _merged(policy, present, own, shares)
        lease.require()
        policy.write(merged)
        missing = policies.missing_from(policy.read(), own.needed)
        if missing:
            raise TransientAwsError(f"the {policy.name} was overwritten during this request; missing: {', '.join(missing)}")
    return True


def _added(present: Document | None, own: Share) -> list[Statement]:
    """The parts of the own statements that the policy does not contain."""
    return policies.beyond(policies.new_document(own.written), policies.own_statements(present))


def _noted_last(
    policy: SharedPolicy,
    own: Share,
    noted: list[Statement],
    note: Callable[[list[Statement]], None],
    require_approval: Callable[[], None] | None,
) -> Document | None:
    """The last read of the policy, after everything that the request adds to it is noted."""
    while True:
        if require_approval:
            require_approval()
        present = policy.read()
        added = _added(present, own)
        if not policies.beyond(policies.new_document(added), noted):
            return present
        noted = policies.union([noted, added])
        note(noted)


def _merged(policy: SharedPolicy, present: Document | None, own: Share, shares: Sequence[Share]) -> Document:
    """The present policy with all shares. If it would be too long, only the own share is added; other requests add theirs."""
    former = policies.union(share.former for share in shares)
    sids = {statement["Sid"] for statement in policies.own_statements(present)}
    extended = [statement for statement in own.extended if statement["Sid"] in sids]
    merged = policies.merge(present, [*extended, *policies.union(share.written for share in shares)], former)
    if len(policies.text_of(merged)) > policy.limit:
        merged = policies.merge(present, own.written, former)
    if (length := len(policies.text_of(merged))) > policy.limit:
        raise Conflict(f"the {policy.name} would have {length} characters, and AWS accepts {policy.limit}: remove statements")
    return merged


def _others(desired: Desired, resource: str, registry: Registry, bounds: Bounds) -> Iterator[tuple[Desired, str | None]]:
    """The other accesses of a key or secret, each with the ARN of its key, which can have changed.

    A resource belongs to one tenant, so `bounds` apply to every access that uses it. An access that exceeds them, or that
    belongs to another tenant, is left out: statements that are no longer allowed are not added back.
    """
    for announced in registry.requests_using(resource, without=desired.access_id):
        other = desire(announced.request, bounds.settings, announced.tenant)
        if announced.tenant == desired.tenant and not any(bounds_problems(other, bounds)):
            yield other, announced.key_arn


def key_shares_of_others(desired: Desired, key_arn: str, registry: Registry, bounds: Bounds) -> Iterator[Share]:
    """What the other accesses of a key need in its policy."""
    for other, recorded_key in _others(desired, key_arn, registry, bounds):
        if key_arn == recorded_key or (recorded_key is None and _will_use(desired, other, key_arn, registry)):
            yield other.key_share()


def _will_use(desired: Desired, other: Desired, key_arn: str, registry: Registry) -> bool:
    """Whether a request without a key yet will use this key. It is not known for an alias that a person created."""
    if other.alias is None:
        return other.request.key.arn == key_arn
    if other.alias == desired.alias:
        return True
    noted = registry.resources.noted_key(other.alias)
    return noted is not None and noted.arn == key_arn


def secret_shares_of_others(desired: Desired, secret_arn: str, registry: Registry, bounds: Bounds) -> Iterator[Share]:
    """What the other accesses of a secret need in its resource policy."""
    for other, _ in _others(desired, desired.secret_resource, registry, bounds):
        if other.secret_resource == desired.secret_resource:
            yield other.secret_share(secret_arn)
