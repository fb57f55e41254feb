"""Generates, copies and checks secret values. No error that it raises contains a value."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError, EndpointConnectionError

from latchkey.access.desired import Desired
from latchkey.aws.errors import code_of
from latchkey.aws.secrets import ObservedSecret, find_secret
from latchkey.errors import Conflict, InvalidRequest, Problem
from latchkey.events.findings import CheckedValue
from latchkey.requests.lifecycle import NewValue
from latchkey.requests.models import CopyFrom
from latchkey.requests.sender import NOT_ALLOWED
from latchkey.systems.system import SecretShape
from latchkey.tags import ACCESS, CONSENT, is_ours
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


type ClientOfRegion = Callable[[str], SecretsManagerClient]
# The secret is missing, scheduled for deletion, not approved, or under a disabled key. The rules for the secret report which.
_UNREADABLE = {
    "AccessDenied",
    "AccessDeniedException",
    "DecryptionFailure",
    "InvalidRequestException",
    "ResourceNotFoundException",
}


# Stands for a value in a plan, and is never stored.
_UNKNOWN_VALUE = "the value is not part of a plan"
COPIED_MEMBER = "that copyFrom.key names"


_BINARY = "the value is binary: store the token as text (SecretString), as the systems read it"


class ValueCheck(WireModel):
    """Problems with the format of a value; `unreadable` if the value does not exist or cannot be read.

    `replaces_value`: the value that a planned request copies differs from that of its secret. It is None for any other request.
    """

    findings: tuple[Problem, ...]
    unreadable: bool = False
    replaces_value: bool | None = None


class Values(Protocol):
    """Where the value of a secret comes from."""

    def new(self) -> str:
        """The value of a new secret."""

    def changed(self, found: ObservedSecret) -> str | None:
        """The value that an existing secret is to have, or None if it keeps its own."""


@dataclass(frozen=True)
class PlannedValues:
    """The values of a plan, which contain no token. `replaces`: the request changes the value of its existing secret."""

    replaces: bool

    def new(self) -> str:
        return _UNKNOWN_VALUE

    def changed(self, found: ObservedSecret) -> str | None:  # noqa: ARG002  the same for every secret
        return _UNKNOWN_VALUE if self.replaces else None


@dataclass(frozen=True)
class RequestedValues:
    """The values that a request generates or copies."""

    desired: Desired
    client_of_region: ClientOfRegion

    def new(self) -> str:
        token = copied_token(self.desired, None, self.client_of_region)
        return compose(self.desired, token) if token else generated_value(self.desired)

    def changed(self, found: ObservedSecret) -> str | None:
        token = copied_token(self.desired, found, self.client_of_region)
        if token is None:
            return None
        present = read_value(self.client_of_region(self.desired.place.region), found.arn) or ""
        value = compose(self.desired, token, present)
        return None if value == present else value


def generated_value(desired: Desired) -> str:
    """The value of a new secret, in the format of the system and with the length that the request asks for."""
    generate, shape = desired.request.secret.value.generate, _shape(desired)
    if generate is None:
        raise Conflict("the existing secret was deleted after the request was checked: send the request again")
    return compose(desired, shape.format.make(generate.length or shape.usual_length))


def copied_token(desired: Desired, found: ObservedSecret | None, client_of_region: ClientOfRegion) -> str | None:
    """The token in the secret that copyFrom names, or None if the request copies nothing or keeps the value of `found`."""
    source = desired.request.secret.value.copy_from
    if source is None or (desired.request.secret.keeps_value and found is not None):
        return None
    return _copied(desired, _shape(desired), source, "secret.value.copyFrom", client_of_region)


def _copied(desired: Desired, shape: SecretShape, source: CopyFrom, path: str, client_of_region: ClientOfRegion) -> str:
    """The token in another secret. Raises InvalidRequest with the `path` of the member that names it."""
    client = client_of_region(_region(source.secret_arn))
    found = find_secret(client, source.secret_arn)
    if found is not None and not desired.owns(found.tags):
        raise Conflict(f"{source.secret_arn} is {NOT_ALLOWED}")
    if found is None or found.tags.get(CONSENT) != "import":
        raise Conflict(f"{source.secret_arn} is no longer approved for import: add the tag {CONSENT}=import to it")
    text = read_value(client, source.secret_arn)
    token = _member(text, source.key) if source.key else text
    if (rule := _broken_rule(shape, text, source.key, COPIED_MEMBER)) or token is None:
        raise InvalidRequest([Problem(path, rule or _BINARY)])
    return token


class NextVersion(Protocol):
    """What the value of a further version depends on."""

    @property
    def secret_arn(self) -> str: ...
    @property
    def former(self) -> str: ...
    @property
    def repeats(self) -> str | None: ...
    @property
    def value(self) -> NewValue | None: ...
    @property
    def shortest(self) -> int: ...
    @property
    def longest(self) -> int: ...


def next_value(desired: Desired, version: NextVersion, client_of_region: ClientOfRegion) -> str:
    """The value of a further version of a secret: that of another version, or a generated or copied token.

    Raises InvalidRequest if the copied token has another format, or is the present one.
    """
    secretsmanager = client_of_region(desired.place.region)
    if version.repeats is not None:
        return _version(secretsmanager, version.secret_arn, version.repeats)
    shape = replace(_shape(desired), minimum=version.shortest, maximum=version.longest)
    present = _version(secretsmanager, version.secret_arn, version.former)
    if version.value is not None and version.value.copy_from is not None:
        token = _copied(desired, shape, version.value.copy_from, "value.copyFrom", client_of_region)
        if token == (_member(present, shape.member) if shape.member else present):
            raise InvalidRequest([Problem("value.copyFrom", "is the present token: store a new one in the secret first")])
    else:
        generate = version.value.generate if version.value else None
        token = shape.format.make((generate.length if generate else None) or _recorded_length(desired, shape))
    if shape.exclusive and (_object(present) or {}).keys() - {shape.member}:
        raise Conflict(f"{version.secret_arn} must contain the member {shape.member} and no other: remove the other members")
    return compose(desired, token, present)


def _recorded_length(desired: Desired, shape: SecretShape) -> int:
    """The length that the recorded request asks for, if a token of this length can be generated; otherwise, the usual one."""
    generate, (shortest, longest) = desired.request.secret.value.generate, shape.generated
    recorded = generate.length if generate else None
    return recorded if recorded is not None and shortest <= recorded <= longest else shape.usual_length


def _version(secretsmanager: SecretsManagerClient, secret: str, version: str) -> str:
    """The value of a version as text. Raises Conflict if it is binary."""
    value = secretsmanager.get_secret_value(SecretId=secret, VersionId=version).get("SecretString")
    if value is None:
        raise Conflict(f"the value of {secret} is binary, so no token can be replaced in it: store a new value as text")
    return value


def compose(desired: Desired, token: str, present: str = "{}") -> str:
    """The secret value: the token alone, or the present JSON object with the token as the member that the system reads."""
    shape = _shape(desired)
    if shape.member is None:
        return token
    others = {} if shape.exclusive else _object(present)
    if others is None:
        raise Conflict(f"the value of {desired.secret_name} is not a JSON object, so no token can be added to it")
    return json.dumps(others | {shape.member: token})


def check_value(desired: Desired, client_of_region: ClientOfRegion) -> ValueCheck:
    """Checks the format of the value that the request brings, or of the secret that already has the requested name.

    An unreadable value, or one whose use its owner has not approved, causes no problem here: the rules for the secret report
    the reason.
    """
    shape = desired.secret_shape
    if shape is None:
        return ValueCheck(findings=())
    request = desired.request.secret.value
    path, secret, key, exclusive = "secret.name", desired.secret_name, shape.member, shape.exclusive
    consent = "adopt"
    named_by = _member_name(desired, shape)
    copies = request.copy_from is not None and not _keeps_value(desired, client_of_region)
    if request.copy_from is not None and copies:
        path, secret, key, exclusive = "secret.value.copyFrom", request.copy_from.secret_arn, request.copy_from.key, False
        named_by, consent = COPIED_MEMBER, "import"
    elif request.existing is not None:
        path, secret = "secret.value.existing", request.existing.secret_arn
    region = _region(secret) if copies or request.existing is not None else desired.place.region
    try:
        client = client_of_region(region)
        if not _is_approved(desired, find_secret(client, secret), consent):
            return ValueCheck(findings=(), unreadable=True)
        found = client.get_secret_value(SecretId=secret)
    except (ClientError, EndpointConnectionError) as error:
        if isinstance(error, ClientError) and code_of(error) not in _UNREADABLE:
            raise
        return ValueCheck(findings=(), unreadable=True)
    rule = _rule_of(found, shape, key, named_by, exclusive=exclusive)
    if rule is not None:
        return ValueCheck(findings=(Problem(path, rule),))
    return ValueCheck(findings=(), replacesValue=_replaces_value(desired, client_of_region))


def recorded_value(desired: Desired, secret_arn: str, secretsmanager: SecretsManagerClient) -> CheckedValue | None:
    """The verdict on the current value of the secret of a recorded access. None if the value cannot be read.

    The verdict names the version that was read, so that it says nothing about a later value.
    """
    shape = desired.secret_shape
    if shape is None:
        return None
    try:
        if not _is_approved(desired, find_secret(secretsmanager, secret_arn), "adopt"):
            return None
        found = secretsmanager.get_secret_value(SecretId=secret_arn)
    except ClientError as error:
        if code_of(error) not in _UNREADABLE:
            raise
        return None
    rule = _rule_of(found, shape, shape.member, _member_name(desired, shape), exclusive=shape.exclusive)
    return CheckedValue(accessId=desired.access_id, version=found["VersionId"], problem=rule)


def _member_name(desired: Desired, shape: SecretShape) -> str:
    """How a rule names the member of the JSON object that contains the token."""
    path = desired.resource.secret_member_path
    return f"that {path} names" if path else f"{shape.member}"


def _rule_of(found: Mapping[str, Any], shape: SecretShape, key: str | None, named_by: str, *, exclusive: bool) -> str | None:
    """The rule that a value breaks, as GetSecretValue returned it."""
    if "SecretString" not in found:
        return _BINARY
    text = found["SecretString"]
    rule = _broken_rule(shape, text, key, named_by)
    if rule is None and exclusive and text is not None and len(json.loads(text)) > 1:
        return f"the secret must contain the member {shape.member} and no other: remove the other members"
    return rule


def _replaces_value(desired: Desired, client_of_region: ClientOfRegion) -> bool | None:
    """Whether a planned request would replace the value of its secret. For other requests, nothing more is read."""
    if not desired.request.is_planned or desired.request.secret.value.copy_from is None:
        return None
    secretsmanager = client_of_region(desired.place.region)
    found = find_secret(secretsmanager, desired.secret_name)
    if not _is_approved(desired, found, "adopt") or found is None or found.is_being_deleted:
        return None
    return RequestedValues(desired, client_of_region).changed(found) is not None


def _keeps_value(desired: Desired, client_of_region: ClientOfRegion) -> bool:
    """Whether the request keeps the value of a secret that exists. If AWS denies the read, check_request reports that."""
    if not desired.request.secret.keeps_value:
        return False
    try:
        return find_secret(client_of_region(desired.place.region), desired.secret_name) is not None
    except ClientError as error:
        if code_of(error) not in _UNREADABLE:
            raise
        return True


def _is_approved(desired: Desired, secret: ObservedSecret | None, consent: str) -> bool:
    """Whether a secret belongs to the tenant, and its owner consented to its use or it is tagged as one of this access."""
    if secret is None or not desired.owns(secret.tags):
        return False
    is_own = consent == "adopt" and is_ours(secret.tags, desired.stack) and secret.tags.get(ACCESS) == desired.access_id
    return is_own or secret.tags.get(CONSENT) == consent


def read_value(secretsmanager: SecretsManagerClient, secret: str) -> str | None:
    """The current value of a secret as text; None for a binary secret."""
    return secretsmanager.get_secret_value(SecretId=secret).get("SecretString")


def _shape(desired: Desired) -> SecretShape:
    if desired.secret_shape is None:
        raise Conflict(f"{desired.system.name} does not read a secret")
    return desired.secret_shape


def _object(text: str | None) -> dict[str, Any] | None:
    """Parses a JSON object; None if the text is anything else."""
    document = _document(text)
    return document if isinstance(document, dict) else None


def _document(text: str | None) -> Any:
    """Parses JSON; None if the text is no JSON."""
    try:
        return json.loads(text or "")
    except (ValueError, RecursionError):
        return None


def _member(text: str | None, key: str) -> str | None:
    """A string member of a JSON object, or None if there is no such member."""
    member = (_object(text) or {}).get(key)
    return member if isinstance(member, str) else None


def _broken_rule(shape: SecretShape, text: str | None, key: str | None, named_by: str) -> str | None:
    """The format rule that a value breaks: what was found in its place, in kind, and what to store instead. None if none.

    The name of the member is not repeated, because a sender can have put the token there by mistake.
    """
    if text is None:
        return "the secret is binary: store its value as text, in SecretString"
    token = _member(text, key) if key else text
    if token is None:
        return f"the secret {_not_an_object(text, key or '')}: store a JSON object with the string member {named_by}"
    if flaw := shape.format.flaw(token):
        return f"the token {flaw}"
    if shape.minimum <= len(token) <= shape.maximum:
        return None
    if shape.minimum == shape.maximum:
        return f"the token has {len(token)} characters, and must have {shape.minimum}: store a token of this length"
    several = f"{shape.minimum} to {shape.maximum}"
    wrong = "short" if len(token) < shape.minimum else "long"
    return f"the token is too {wrong}, and must have {several} characters: store a token of such a length"


def _not_an_object(text: str, key: str) -> str:
    """What a value is in which a string member of a JSON object was not found."""
    document = _document(text)
    if isinstance(document, dict):
        return "has that member, but not as a string" if key in document else "is a JSON object without that member"
    if text == "":
        return "is empty"
    return "is JSON, but not an object" if document is not None else "is plain text"


def _region(secret_arn: str) -> str:
    return secret_arn.split(":")[3]
