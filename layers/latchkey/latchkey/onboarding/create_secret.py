"""Finds or creates the secret of an access: the only function that can read or write a token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from latchkey.access.desired import Desired, desire
from latchkey.aws.errors import code_of, settling
from latchkey.aws.secrets import CURRENT, PENDING, ObservedSecret, find_secret
from latchkey.errors import Conflict, NotYetEffective, TransientAwsError
from latchkey.onboarding import secret_values
from latchkey.onboarding.secret_values import ClientOfRegion, RequestedValues, ValueCheck, Values
from latchkey.onboarding.step_input import StepInput
from latchkey.onboarding.step_result import StepResult
from latchkey.registry import Registry
from latchkey.registry.journal import ROTATION, SECRET, SECRET_VERSION, RequestJournal
from latchkey.requests.lifecycle import NewValue
from latchkey.requests.sender import NOT_ALLOWED
from latchkey.settings import Settings
from latchkey.tags import ACCESS, is_ours, may_rotate
from latchkey.wire import WireModel

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


__all__ = ["CreateSecretInput", "StepResult", "ValueCheck", "create_secret"]


class PendingVersion(WireModel):
    """A version to add to an existing secret with the label AWSPENDING, while `former` is the current version.

    Its token is generated or copied, and must have `shortest` to `longest` characters. With `repeats`, it has the value of that
    version instead.
    """

    secret_arn: str
    version: str
    former: str
    value: NewValue | None = None
    shortest: int
    longest: int
    repeats: str | None = None


class CreateSecretInput(StepInput):
    """The request and its key. Without a key, only the format of the existing values is checked.

    `ownSecretArn` is the secret of this access that check_request found, or None if it has to be created. `pending` is the
    version that a rotation adds; nothing else is done then.
    """

    key: StepResult | None = None
    own_secret_arn: str | None = None
    pending: PendingVersion | None = None


def create_secret(
    event: CreateSecretInput, settings: Settings, registry: Registry, client_of_region: ClientOfRegion
) -> StepResult | ValueCheck:
    """Checks the values that the request brings or, once there is a key, ensures the secret under that key.

    For a rotation, it adds a version to the secret.
    """
    desired = desire(event.request, settings, event.tenant)
    if event.pending is not None:
        journal = registry.journal_of(event.execution_arn, desired.access_id, event.tenant)
        pending = event.pending
        return add_version(
            desired,
            pending,
            journal,
            client_of_region(desired.place.region),
            lambda: secret_values.next_value(desired, pending, client_of_region),
        )
    if event.key is None:
        return secret_values.check_value(desired, client_of_region)
    values = RequestedValues(desired, client_of_region)
    return ensure_secret(event, event.key, settings, registry, client_of_region(desired.place.region), values)


def ensure_secret(
    event: CreateSecretInput,
    key: StepResult,
    settings: Settings,
    registry: Registry,
    secretsmanager: SecretsManagerClient,
    values: Values,
) -> StepResult:
    """Creates the secret, or keeps the one of its name; a copied value that differs becomes a new version.

    The token exists in the memory of this function only. It is in no result and in no error.
    """
    desired = desire(event.request, settings, event.tenant)
    journal = registry.journal_of(event.execution_arn, desired.access_id, event.tenant)
    found = find_secret(secretsmanager, desired.secret_name)
    if found is None and event.own_secret_arn and desired.request.secret.keeps_value:
        raise Conflict(f"{event.own_secret_arn} was deleted after the request was checked: send the request again")
    if found is None:
        return _create_secret(desired, key, values.new(), journal, secretsmanager)
    if not desired.owns(found.tags):
        raise Conflict(f"{desired.secret_name} is {NOT_ALLOWED}")
    if found.is_being_deleted:
        raise _name_taken(desired)
    if not _is_expected(desired, event, found):
        raise Conflict(f"{found.arn} was created for another access after the request was checked: choose another secret name")
    value = values.changed(found)
    if value is None:
        return StepResult(arn=found.arn, changed=desired.made(found.tags))
    version = desired.version_id
    journal.intend(SECRET_VERSION, {"arn": found.arn, "version": version})
    with settling(key.settles_from):
        secretsmanager.put_secret_value(SecretId=found.arn, SecretString=value, ClientRequestToken=version)
    return StepResult(arn=found.arn, changed=True)


def add_version(
    desired: Desired,
    pending: PendingVersion,
    journal: RequestJournal,
    secretsmanager: SecretsManagerClient,
    next_value: Callable[[], str],
) -> StepResult:
    """Adds a version under AWSPENDING only, unless an earlier attempt has. The other members of a JSON object are kept.

    A version that another tool made pending since the check keeps the label, which the call would move.
    """
    found = find_secret(secretsmanager, pending.secret_arn)
    if found is None or found.is_being_deleted:
        raise Conflict(f"{pending.secret_arn} was deleted after the request was checked: restore the secret first")
    if not (desired.owns(found.tags) and may_rotate(found.tags, desired.stack)):
        raise Conflict(f"{found.arn} is {NOT_ALLOWED}")
    if pending.version in found.stages:
        return StepResult(arn=found.arn, changed=True)
    if found.version(CURRENT) != pending.former:
        raise Conflict(f"{found.arn} got another current version after the request was checked: send the request again")
    noted = journal.entry(ROTATION)
    if found.is_rotated or found.pending not in (None, noted.found[PENDING] if noted else None):
        raise Conflict(f"another tool began to rotate {found.arn} after the request was checked: finish that rotation")
    value = next_value()
    try:
        secretsmanager.put_secret_value(
            SecretId=found.arn, SecretString=value, ClientRequestToken=pending.version, VersionStages=[PENDING]
        )
    except ClientError as error:
        # The version exists with a generated value that nobody else has: the response to an earlier attempt was lost.
        if code_of(error) != "ResourceExistsException":
            raise
    return StepResult(arn=found.arn, changed=True)


def _is_expected(desired: Desired, event: CreateSecretInput, found: ObservedSecret) -> bool:
    """Whether a secret is the one that check_request found for this access, or one that this request created.

    The input of executions that an earlier version started does not contain what check_request found.
    """
    is_own = is_ours(found.tags, desired.stack) and found.tags.get(ACCESS) == desired.access_id
    is_known = event.execution_arn is None or found.arn == event.own_secret_arn or desired.made(found.tags)
    return is_own and is_known


def _create_secret(
    desired: Desired, key: StepResult, value: str, journal: RequestJournal, secretsmanager: SecretsManagerClient
) -> StepResult:
    journal.intend(SECRET, {"name": desired.secret_name})
    try:
        with settling(key.settles_from), _name_becoming_free(desired):
            created = secretsmanager.create_secret(
                Name=desired.secret_name,
                Description=f"Latchkey: the token of {desired.access_id}",
                # Not an alias: MediaTailor passes the key from DescribeSecret to CreateGrant, which accepts no alias.
                KmsKeyId=key.arn,
                SecretString=value,
                ClientRequestToken=desired.version_id,
                Tags=[{"Key": name, "Value": text} for name, text in desired.tags().items()],
            )
    except Conflict:
        # An earlier attempt created it; a retry finds it and continues from there.
        raise TransientAwsError(f"the secret {desired.secret_name} already exists: an earlier attempt created it") from None
    journal.complete(SECRET, {"arn": created["ARN"]})
    return StepResult(arn=created["ARN"], changed=True)


@contextmanager
def _name_becoming_free(desired: Desired) -> Iterator[None]:
    """Raises NotYetEffective if the name is taken by a secret that is being deleted."""
    try:
        yield
    except ClientError as error:
        # The message of AWS is not compared, and not passed on, because it can repeat the input.
        if code_of(error) != "InvalidRequestException":
            raise
        raise _name_taken(desired) from None


def _name_taken(desired: Desired) -> NotYetEffective:
    """A forced deletion, such as that of a rollback, is asynchronous, and the name of the secret stays taken for a while.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html
    """
    rule = f"the name {desired.secret_name} is taken by a secret that is being deleted"
    return NotYetEffective(f"{rule}: send the request again later, restore the secret, or choose another secret.name")
