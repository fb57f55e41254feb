"""Refuses an update of the stack that takes services the secrets that they read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from latchkey.access.desired import desire
from latchkey.aws.secrets import name_of_secret
from latchkey.aws.stacks import is_rolling_back
from latchkey.deployment.custom_resource import ResourceEvent
from latchkey.deployment.prefixes import Prefixes, SecretUse, refusal
from latchkey.errors import Conflict
from latchkey.registry import Registry
from latchkey.registry.accesses import AnnouncedRequest
from latchkey.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient


def guard_prefixes(event: ResourceEvent, registry: Registry, settings: Settings, cloudformation: CloudFormationClient) -> None:
    """Raises Conflict if the update excludes the secret of an access that is in use.

    A rollback is never refused: CloudFormation would end in UPDATE_ROLLBACK_FAILED.
    """
    if event.request_type != "Update":
        return
    former, wanted = _prefixes(event.old_resource_properties), _prefixes(event.resource_properties)
    if wanted.include(former) or is_rolling_back(cloudformation, event.stack_id):
        return
    uses = (use for announced in registry.accesses.all_announced_requests() for use in _uses(announced, settings))
    if reason := refusal(former, wanted, uses):
        raise Conflict(reason)


def _prefixes(properties: Mapping[str, Any]) -> Prefixes:
    return Prefixes(str(properties["SecretPrefix"]), str(properties["AdoptedSecretPrefix"]))


def _uses(announced: AnnouncedRequest, settings: Settings) -> Iterator[SecretUse]:
    """The secrets that the service reads for a request: none for a system that reads none."""
    desired = desire(announced.request, settings, announced.tenant)
    if not desired.reads_secret:
        return
    yield SecretUse(
        access_id=desired.access_id,
        secret_name=desired.secret_name,
        through_role=desired.role("", "") is not None,
        is_created=desired.needs_secret,
    )
    for arn in desired.resource.other_secret_arns:
        yield SecretUse(desired.access_id, name_of_secret(arn), through_role=True, is_created=False)
