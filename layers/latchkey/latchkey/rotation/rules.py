"""The rules of a rotation. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from latchkey.access.bounds import Bounds, allows_host
from latchkey.access.consent import missing_consent, secret_rules
from latchkey.access.desired import Desired
from latchkey.access.rotating import Rotating
from latchkey.aws.secrets import CURRENT, ObservedSecret
from latchkey.errors import Problem
from latchkey.requests.lifecycle import NewValue, RotationRequested
from latchkey.requests.sender import NOT_ALLOWED
from latchkey.rotation.choreography import choreography, token_lengths
from latchkey.systems.system import Configured
from latchkey.tags import CONSENT, ROTATION_CONSENT, is_ours, may_rotate, other_stack

_SOURCE = "value.copyFrom"
RUNNING = "is rotating now, and nothing waits for a confirmation: wait for the outcome of that request"
_REQUEST_AGAIN = "withdraw it with Rotation Requested and withdraw set to true, and request it again"


@dataclass(frozen=True)
class Reader:
    """An access that reads the secret. `changes` is the phase that it is in, and `present` its resource if it matters.

    `waits`: its resource is configured when its hand-off is confirmed.
    """

    desired: Desired
    key_arn: str
    waits: bool = False
    changes: str | None = None
    present: Configured | None = None


@dataclass(frozen=True)
class Source:
    """The secret from which the new token is copied. `isHere`: it is in this account, in a Region that exists."""

    is_here: bool
    secret: ObservedSecret | None = None
    hidden: bool = False
    hosts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RotationEvidence:
    """The evidence for the rules. `readers` are the accesses that read the secret, the one of the request first.

    `known` are the versions of the secret that Latchkey accepts, and `last_rotation` is the time of the last rotation that the
    registry has recorded. `hosts` are those that receive the secret. `hidden`: AWS denies reading the secret.
    """

    secret: ObservedSecret | None
    readers: Sequence[Reader]
    known: frozenset[str] = frozenset()
    last_rotation: str | None = None
    hidden: bool = False
    source: Source | None = None
    hosts: frozenset[str] = frozenset()

    @property
    def accesses(self) -> list[Desired]:
        """The desired states of the accesses that read the secret."""
        return [reader.desired for reader in self.readers]


def token_problems(desired: Desired) -> Iterator[Problem]:
    """Without a token, there is nothing to rotate."""
    if desired.system.rotation is None:
        days = desired.request.key.rotation_days
        rule = f"has no token: KMS rotates the key material of its key every {days} days, and data stays readable"
        yield Problem("accessId", rule)


def rotation_problems(
    desired: Desired, asked: RotationRequested, evidence: RotationEvidence, bounds: Bounds
) -> Iterator[Problem]:
    """Every rule that a request for a rotation breaks."""
    found = evidence.secret
    yield from _secret_problems(desired, evidence)
    if found is None or found.is_being_deleted:
        return
    yield from _other_tool_problems(found, evidence.known)
    interrupted = choreography(evidence.accesses).interrupted
    if interrupted and not asked.accepts_interruption:
        rule = f"must be true, because a new token interrupts {', '.join(interrupted)} until both ends have it"
        yield Problem("acceptsInterruption", rule)
    yield from _reader_problems(evidence)
    yield from _value_problems(desired, asked.value, evidence, bounds)
    yield from _format_problems(desired, evidence.accesses)


def _secret_problems(desired: Desired, evidence: RotationEvidence) -> Iterator[Problem]:
    """The secret must exist, and Latchkey must be allowed to change its value."""
    found = evidence.secret
    rules: Iterator[str] = iter(())
    if evidence.hidden:
        rules = iter(["cannot be read, because AWS denies it: exempt the roles of the stack in the policy of the secret"])
    elif found is None:
        rules = iter(["has no secret: onboard the access again"])
    elif found.is_being_deleted:
        rules = iter([f"reads {found.arn}, which is scheduled for deletion: restore the secret"])
    elif not desired.owns(found.tags):
        rules = iter([NOT_ALLOWED])
    else:
        rules = _usable_rules(desired, found)
    yield from (Problem("accessId", rule) for rule in rules)


def _usable_rules(desired: Desired, found: ObservedSecret) -> Iterator[str]:
    if creator := other_stack(found.tags, desired.stack):
        yield f"reads {found.arn}, which belongs to the Latchkey stack {creator}: send the request to that stack"
    elif not is_ours(found.tags, desired.stack) and found.tags.get(CONSENT) != "adopt":
        yield f"reads {found.arn}, which is {missing_consent(found.arn)}"
    elif not may_rotate(found.tags, desired.stack):
        consent = f"add the tag {ROTATION_CONSENT}=rotate to the secret, or store a new value yourself"
        yield f"reads {found.arn}, whose owner has not approved rotations: {consent}"
    if found.owning_service:
        yield f"reads {found.arn}, which is managed by {found.owning_service}: rotate it there"
    if primary := found.replica_of:
        yield f"reads {found.arn}, a replica: rotate the token with the stack in {primary}, where the primary secret is"
    if not found.has_value:
        yield f"reads {found.arn}, which has no value: put a token into the secret, and onboard the access again"


def _other_tool_problems(found: ObservedSecret, known: frozenset[str]) -> Iterator[Problem]:
    """The rotation of another tool is left alone. A pending version of Latchkey's is that of a rotation that crashed."""
    if found.is_rotated:
        rule = f"reads {found.arn}, which Secrets Manager rotates: turn off its automatic rotation, or rotate the token there"
        yield Problem("accessId", rule)
    pending, current = found.pending, found.version(CURRENT)
    if pending is not None and pending not in known:
        rule = (
            f"reads {found.arn}, whose version {pending} another tool made pending: finish that rotation, or remove the label "
            "AWSPENDING from the version"
        )
        yield Problem("accessId", rule)
    if known and current is not None and current not in known:
        rule = (
            f"reads {found.arn}, whose current version {current} was stored by somebody else: make sure that the other side "
            "has that token, and send the onboarding request again to accept it"
        )
        yield Problem("accessId", rule)


def _reader_problems(evidence: RotationEvidence) -> Iterator[Problem]:
    """Every access that reads the secret must be able to take a new token now."""
    steps = choreography(evidence.accesses)
    for reader in evidence.readers:
        desired, configuration = reader.desired, reader.desired.system.configuration
        if reader.changes is not None:
            rule = f"shares its secret with {desired.access_id}, which is {reader.changes}"
            yield Problem("accessId", f"{rule}: finish that request first")
        if desired.access_id not in steps.updates or configuration is None:
            continue
        if reader.waits:
            rule = f"shares its secret with {desired.access_id}, which is handed off: confirm or offboard it first"
            yield Problem("accessId", rule)
            continue
        present = reader.present
        if present is None or evidence.secret is None or not desired.is_secret(present.secret_arn):
            rule = (
                f"cannot be rotated, because the resource of {desired.access_id} no longer reads the secret: onboard it again"
            )
            yield Problem("accessId", rule)
        elif present.settings != configuration.wanted(desired.resource, desired.reading(reader.key_arn, evidence.secret.arn)):
            rule = f"cannot be rotated, because the settings of {present.arn} were changed: onboard {desired.access_id} again"
            yield Problem("accessId", rule)
        else:
            refused = configuration.refused_updates(present)
            yield from (Problem("accessId", f"cannot be rotated: {present.arn} {rule}") for rule in refused)


def _value_problems(desired: Desired, value: NewValue, evidence: RotationEvidence, bounds: Bounds) -> Iterator[Problem]:
    """The length of a generated token, and the secret from which a token is copied."""
    low, high = _generated_lengths(desired, evidence.accesses)
    length = value.generate.length if value.generate else None
    if low > high and value.generate is not None:
        yield Problem(
            "value.generate", "cannot be used, because no length fits every access that reads the secret: use copyFrom"
        )
    elif length is not None and not low <= length <= high:
        rule = f"must be {low} for this access" if low == high else f"must be between {low} and {high} for this access"
        yield Problem("value.generate.length", rule)
    source = evidence.source
    if value.copy_from is None or source is None:
        return
    if not source.is_here:
        yield Problem(_SOURCE, f"must be in account {desired.place.account} and in an existing Region: name another secret")
    elif source.hidden:
        yield Problem(_SOURCE, "cannot be read, because AWS denies it: exempt the roles of the stack in its policy")
    elif source.secret is not None and not desired.owns(source.secret.tags):
        yield Problem(_SOURCE, NOT_ALLOWED)
    else:
        arn = value.copy_from.secret_arn
        yield from (Problem(_SOURCE, rule) for rule in secret_rules(source.secret, arn, "import"))
        if source.secret is not None and not source.secret.is_being_deleted and not source.secret.has_value:
            yield Problem(_SOURCE, "has no value yet, because no version has the label AWSCURRENT: put the token into it")
        if not all(allows_host(host, bounds) or host in source.hosts for host in evidence.hosts):
            rule = (
                "cannot be copied into a secret that is sent to a host that is not allowed to receive the token: "
                "add the host to the stack parameter AllowedOriginHosts"
            )
            yield Problem(_SOURCE, rule)


def _format_problems(desired: Desired, accesses: Sequence[Desired]) -> Iterator[Problem]:
    """A token in the format of the access must have the format of every other access that reads it."""
    shape, (low, high) = desired.secret_shape, _generated_lengths(desired, accesses)
    if shape is None or low > high:
        return
    token = shape.format.make(low)
    for other in accesses:
        if other.secret_shape and other.secret_shape.member == shape.member and other.secret_shape.format.flaw(token):
            rule = f"shares its secret with {other.access_id}, which needs a token in another format"
            yield Problem("accessId", f"{rule}: send the request for {other.access_id} instead")


def _generated_lengths(desired: Desired, accesses: Sequence[Desired]) -> tuple[int, int]:
    """The shortest and the longest token that can be generated."""
    shape = desired.secret_shape
    if shape is None:
        return 1, 0
    shortest, longest = token_lengths(accesses)
    low, high = shape.generated
    return max(low, shortest), min(high, longest)


def confirmation_problems(rotating: Rotating, evidence: RotationEvidence) -> Iterator[Problem]:
    """A pending rotation is confirmed only if nobody has changed the secret since, and its owner still consents."""
    found = evidence.secret
    if not rotating.is_pending:
        yield Problem("accessId", RUNNING)
        return
    if evidence.hidden:
        yield Problem("accessId", "cannot be confirmed, because AWS denies reading the secret: exempt the roles of the stack")
        return
    if found is None or found.is_being_deleted:
        yield Problem("accessId", f"cannot be confirmed, because {rotating.secret_arn} is deleted: {_REQUEST_AGAIN}")
        return
    if found.is_rotated:
        yield Problem("accessId", f"cannot be confirmed, because Secrets Manager rotates {found.arn}: {_REQUEST_AGAIN}")
    own = {rotating.version, rotating.second}
    if found.version(CURRENT) not in {rotating.former, *own}:
        rule = f"cannot be confirmed, because somebody else changed the current version of {found.arn}: {_REQUEST_AGAIN}"
        yield Problem("accessId", rule)
    elif found.pending not in {None, *own} or rotating.version not in found.stages:
        rule = f"cannot be confirmed, because somebody else moved the label AWSPENDING of {found.arn}: {_REQUEST_AGAIN}"
        yield Problem("accessId", rule)
    if unasked := [*_unasked(rotating, evidence.accesses)]:
        rule = f"cannot be confirmed, because {', '.join(unasked)} did not read the secret when the token became pending"
        yield Problem("accessId", f"{rule}: {_REQUEST_AGAIN}")
    desired = evidence.accesses[0]
    rules = _usable_rules(desired, found) if desired.owns(found.tags) else (NOT_ALLOWED,)
    yield from (Problem("accessId", rule) for rule in rules)
    if interrupted := choreography(evidence.accesses).interrupted:
        rule = f"cannot be confirmed, because the new token would now interrupt {', '.join(interrupted)}: {_REQUEST_AGAIN}"
        yield Problem("accessId", f"{rule} with acceptsInterruption")
    yield from _reader_problems(evidence)


def _unasked(rotating: Rotating, accesses: Sequence[Desired]) -> Iterator[str]:
    """The accesses whose other end must act first, and was not asked to when the token became pending."""
    for one in accesses:
        is_first = one.system.rotation is not None and one.system.rotation.before is not None
        if is_first and rotating.readers and one.access_id not in rotating.readers:
            yield one.access_id
