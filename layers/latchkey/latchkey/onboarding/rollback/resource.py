"""Restores the former settings of a resource, or deletes a resource that the request created."""

from __future__ import annotations

from latchkey.errors import Conflict
from latchkey.onboarding.rollback.rollback import Rollback
from latchkey.systems.system import CreatingConfiguration


def roll_back_resource(rollback: Rollback) -> None:
    """Leaves a resource alone that the request did not configure, or that has been pointed at another secret since.

    Raises Conflict if the resource still reads the secret afterwards; the secret, its key and its role must stay then.
    """
    desired, configuration = rollback.desired, rollback.desired.system.configuration
    was_configured, former = rollback.registry.journal.former(rollback.access_id)
    if not was_configured or configuration is None:
        return
    client = rollback.clients.client_for(configuration.service)
    present = configuration.read(client, desired.resource)
    if present is None and former is None and (arn := desired.resource.arn(desired.place)):
        # The request recorded that it creates the resource, and crashed before it did, or after this rollback deleted it.
        rollback.registry.resources.release(arn, desired.access_id)
    if present is None or not desired.is_secret(present.secret_arn):
        return
    if former is not None:
        wanted = configuration.restored_settings(present.full_settings, former)
        if present.full_settings == wanted:
            return
        rollback.note(f"restored the former settings of {present.arn}")
        configuration.restore(client, wanted)
        restored = configuration.read(client, desired.resource)
        if restored is not None and restored.full_settings != wanted and desired.is_secret(restored.secret_arn):
            raise Conflict(
                f"{restored.arn} still reads the secret, and no call of its service changes that: "
                "remove or reconfigure the resource by hand"
            )
    elif isinstance(configuration, CreatingConfiguration) and desired.made(present.tags):
        rollback.note(f"deleted {present.arn}")
        configuration.delete(client, desired.resource)
        rollback.registry.resources.release(present.arn, desired.access_id)
