"""Makes, copies and judges secrets' values, and lets none of them out in what it raises; else only forms sees a token."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, EndpointConnectionError

from latchkey.access.desired import Desired
from latchkey.aws.errors import code_of
from latchkey.errors import Conflict, InvalidRequest, Problem
from latchkey.systems.system import SecretShape
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


type ClientOfRegion = Callable[[str], SecretsManagerClient]
# Absent, being deleted, without consent, or under a key that is off: the look at the secret itself tells which.
_UNREADABLE = {
    "AccessDenied",
    "AccessDeniedException",
    "DecryptionFailure",
    "InvalidRequestException",
    "ResourceNotFoundException",
}


class ValueCheck(WireModel):
    """Problems with the form of values, told without them; `unreadable` if there is a value that could not be read, or none."""

    findings: tuple[Problem, ...]
    unreadable: bool = False


def generated_value(desired: Desired) -> str:
    """A new secret's value, in the system's form and of the length the request asks for."""
    generate, shape = desired.request.secret.value.generate, _shape(desired)
    if generate is None:
        raise Conflict("the secret to be used has gone since the request was checked")
    return compose(desired, shape.format.make(generate.length or shape.usual_length))


def copied_token(desired: Desired, client_of_region: ClientOfRegion) -> str | None:
    """The token in the secret named in copyFrom, or None if the request copies nothing."""
    source = desired.request.secret.value.copy_from
    if source is None:
        return None
    text = read_value(client_of_region(_region(source.secret_arn)), source.secret_arn)
    token = _member(text, source.key) if source.key else text
    rule = _rule_broken(_shape(desired), token, "that copyFrom.key names")
    if rule or token is None:
        raise InvalidRequest([Problem("secret.value.copyFrom", rule or "")])
    return token


def compose(desired: Desired, token: str, present: str = "{}") -> str:
    """The secret's value: the token alone, or the present JSON object with the member the system looks up set to the token."""
    shape = _shape(desired)
    if shape.member is None:
        return token
    beside = {} if shape.exclusive else _object(present)
    if beside is None:
        raise Conflict(f"the value of {desired.secret_name} is no JSON object, in which the token could stand")
    return json.dumps(beside | {shape.member: token})


def check_value(desired: Desired, client_of_region: ClientOfRegion) -> ValueCheck:
    """What is wrong with the form of the value a request brings, or finds under its secret's name.

    A value that cannot be read gives no problem here: why it cannot is told by the look at the secret itself.
    """
    shape = desired.secret_shape
    if shape is None:
        return ValueCheck(findings=())
    request = desired.request.secret.value
    place, secret, key, exclusive = "secret.name", desired.secret_name, shape.member, shape.exclusive
    member_path = desired.resource.secret_member_path
    named_by = f"that {member_path} names" if member_path else f"{shape.member}"
    if request.copy_from is not None:
        place, secret, key, exclusive = "secret.value.copyFrom", request.copy_from.secret_arn, request.copy_from.key, False
        named_by = "that copyFrom.key names"
    elif request.existing is not None:
        place, secret = "secret.value.existing", request.existing.secret_arn
    region = _region(secret) if request.source_arn else desired.place.region
    try:
        text = read_value(client_of_region(region), secret)
    except (ClientError, EndpointConnectionError) as error:
        if isinstance(error, ClientError) and code_of(error) not in _UNREADABLE:
            raise
        return ValueCheck(findings=(), unreadable=True)
    rule = _rule_broken(shape, _member(text, key) if key else text, named_by)
    if rule is None and exclusive and len(json.loads(text)) > 1:
        rule = f"the secret must hold the member {shape.member} and no other"
    return ValueCheck(findings=(Problem(place, rule),) if rule else ())


def read_value(secretsmanager: SecretsManagerClient, secret: str) -> str:
    """The current value of a secret as text; a binary secret reads as empty."""
    return secretsmanager.get_secret_value(SecretId=secret).get("SecretString", "")


def _shape(desired: Desired) -> SecretShape:
    if desired.secret_shape is None:
        raise Conflict(f"{desired.system.name} reads no secret")
    return desired.secret_shape


def _object(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is, or None if it is none."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _member(text: str, key: str) -> str | None:
    """The text member of a JSON object, or None if there is no such thing."""
    member = (_object(text) or {}).get(key)
    return member if isinstance(member, str) else None


def _rule_broken(shape: SecretShape, token: str | None, named_by: str) -> str | None:
    """The name of the member is not repeated: a hurried sender may have put the token there."""
    if token is None:
        return f"the secret must be a JSON object with the text member {named_by}"
    if not shape.minimum <= len(token) <= shape.maximum:
        several = f"{shape.minimum} to {shape.maximum}" if shape.minimum < shape.maximum else str(shape.minimum)
        return f"the token must be {several} characters long"
    return None if shape.format.holds(token) else f"the token {shape.format.rule}"


def _region(secret_arn: str) -> str:
    return secret_arn.split(":")[3]
