"""Moves the staging labels of a secret back to the versions that a rotation found them on, and lets the services read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from latchkey.access.desired import Desired
from latchkey.aws.clients import Clients
from latchkey.aws.pages import read_pages
from latchkey.aws.secrets import CURRENT, PENDING, PREVIOUS, ObservedSecret, find_secret
from latchkey.errors import Conflict

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


def restore_labels(
    secretsmanager: SecretsManagerClient,
    secret: ObservedSecret,
    own: frozenset[str],
    found: Mapping[str, str | None],
    note: Callable[[str], None],
) -> bool:
    """Restores the labels that a rotation `found`, by label. Returns whether the current version changed.

    Only labels on the versions `own` of the rotation move: a label that somebody else has moved since stays where it is. If
    somebody else has stored a value, the version that the rotation found current becomes the previous one, as it would be
    without the rotation. The current version comes first, because services read it. UpdateSecretVersionStage fails if the label
    has moved in between. Raises Conflict if the former current version no longer exists.
    """
    is_current = secret.version(CURRENT) in own
    is_stored_since = secret.version(CURRENT) not in {*own, found.get(CURRENT)}
    former = {**found, PREVIOUS: found.get(CURRENT)} if is_stored_since else found
    for label in (CURRENT, PREVIOUS, PENDING):
        if label == PREVIOUS and is_current:
            # Secrets Manager moved it to the version that the current label was removed from.
            secret = find_secret(secretsmanager, secret.arn) or secret
        _restore(secretsmanager, secret, label, own, former.get(label), note)
    return is_current


def _restore(
    secretsmanager: SecretsManagerClient,
    secret: ObservedSecret,
    label: str,
    own: frozenset[str],
    former: str | None,
    note: Callable[[str], None],
) -> None:
    present = secret.version(label)
    if present is None or present not in own or present == former:
        return
    to = former if former and (former in secret.stages or _exists(secretsmanager, secret.arn, former)) else None
    if to is None and label == CURRENT:
        raise Conflict(
            f"{secret.arn} keeps {present} as its current version: Secrets Manager deleted its former version {former}"
        )
    note(f"moved {label} of {secret.arn} back to {to}" if to else f"removed {label} from a new version of {secret.arn}")
    moved = {"MoveToVersionId": to} if to else {}
    secretsmanager.update_secret_version_stage(SecretId=secret.arn, VersionStage=label, RemoveFromVersionId=present, **moved)


def _exists(secretsmanager: SecretsManagerClient, secret_arn: str, version: str) -> bool:
    """Whether a version still exists. Secrets Manager deletes versions without a label some time."""
    request = {"SecretId": secret_arn, "IncludeDeprecated": True}
    pages = read_pages(secretsmanager.list_secret_version_ids, **request)
    return any(one["VersionId"] == version for page in pages for one in page.get("Versions", []))


def read_again(desired: Desired, key_arn: str, secret_arn: str, clients: Clients) -> bool:
    """Sends the present settings of a resource again, so that its service reads the current value. Returns whether it did.

    A resource that does not exist or that reads another secret is left alone. Raises Conflict if its settings are not those of
    the recorded request, because Latchkey then does not know what it would send.
    """
    configuration = desired.system.configuration
    if configuration is None or desired.hands_off:
        return False
    client = clients.client_for(configuration.service)
    present = configuration.read(client, desired.resource)
    if present is None or not desired.is_secret(present.secret_arn):
        return False
    reading = desired.reading(key_arn, secret_arn)
    if present.settings != configuration.wanted(desired.resource, reading):
        raise Conflict(f"{present.arn} has other settings than {desired.access_id} was onboarded with: onboard it again")
    configuration.update(clients.updating(configuration.service), desired.resource, reading, present)
    return True
