"""Assembles the emulator: closes MiniStack's gaps, creates the emulated services and returns the application."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local_aws.emulator import gaps
from local_aws.emulator.account import ACCOUNT, REGION
from local_aws.emulator.checkpoint import Checkpoint
from local_aws.emulator.control import Control
from local_aws.emulator.invocations import follow_invocations
from local_aws.emulator.rest_json import Service
from local_aws.emulator.router import Router
from local_aws.emulator.services import mediapackage, mediapackagev2
from local_aws.emulator.services.mediaconnect import MediaConnect
from local_aws.emulator.services.mediapackage import MediaPackage
from local_aws.emulator.services.mediapackage_vod import MediaPackageVod
from local_aws.emulator.services.mediapackagev2 import MediaPackageV2
from local_aws.emulator.services.mediatailor import MediaTailor
from local_aws.emulator.services.origin import Origin
from local_aws.emulator.services.secrets_role import SecretsRoles


@dataclass(frozen=True)
class Emulator:
    control: Control
    router: Router


def create_emulator(endpoint: str, stack: str, request_id_of: Callable[[Any], str | None]) -> Emulator:
    """Returns an emulator for requests to `endpoint`.

    `stack` is the CloudFormation stack that the health control reports. `request_id_of` returns the request that the event
    of a function belongs to, by which faults can select calls.
    """
    gaps.apply()
    follow_invocations(request_id_of)
    mediatailor = MediaTailor()
    origin = Origin(mediatailor.locations)
    control = Control(origin, ACCOUNT, REGION, stack)
    services = secrets_role_services(SecretsRoles(endpoint, control.calls), origin)
    control.keys_in_use = next(service.model.keys_in_use for service in services if isinstance(service.model, MediaConnect))
    control.checkpoint = Checkpoint(mediatailor, origin, *(service.model for service in services))
    return Emulator(control, Router(control, mediatailor, *services))


def secrets_role_services(roles: SecretsRoles, origin: Origin) -> list[Service]:
    """Returns the services that read secrets through a role that requests pass to them."""
    return [
        Service("mediapackage", MediaPackage(roles, origin), mediapackage.BAD_REQUEST),
        Service("mediapackage-vod", MediaPackageVod(roles, origin), mediapackage.BAD_REQUEST),
        Service("mediapackagev2", MediaPackageV2(roles, origin), mediapackagev2.BAD_REQUEST),
        Service("mediaconnect", MediaConnect(roles)),
    ]
