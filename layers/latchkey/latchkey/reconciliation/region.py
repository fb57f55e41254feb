"""Reads the lists of a Region once. A list that cannot be read says nothing about what it would have contained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError

from latchkey.aws.clients import Clients
from latchkey.aws.errors import translate
from latchkey.aws.keys import aliases_by_key
from latchkey.aws.secrets import ObservedSecret, list_secrets
from latchkey.errors import LatchkeyError
from latchkey.observability import logger
from latchkey.systems import SYSTEMS
from latchkey.systems.system import Configured


@dataclass(frozen=True)
class Region:
    """The secrets by ARN, the aliases by the ID of their key, and by system the resources by name.

    A system is missing if no list of its service contains its resources. `unread` are the lists that could not be read.
    """

    secrets: Mapping[str, ObservedSecret] | None
    aliases: Mapping[str, tuple[str, ...]] | None
    resources: Mapping[str, Mapping[str, Configured]]
    unread: tuple[str, ...]


def read_region(systems: Iterable[str], keeps: Callable[[ObservedSecret], bool], clients: Clients) -> Region:
    """Reads the lists that contain the accesses of these systems. Of the secrets, only those that it `keeps` stay in memory."""
    unread: list[str] = []
    secretsmanager, resources = clients.secretsmanager, dict[str, Mapping[str, Configured]]()
    for name in sorted(systems):
        configuration = SYSTEMS[name].configuration
        if configuration is None:
            continue
        read = partial(configuration.listed, clients.client_for(configuration.service))
        listed = attempted(f"resources of {name}", read, unread)
        if listed is not None:
            resources[name] = listed
    return Region(
        secrets=attempted("secrets", lambda: {one.arn: one for one in list_secrets(secretsmanager) if keeps(one)}, unread),
        aliases=attempted("aliases", lambda: aliases_by_key(clients.kms), unread),
        resources=resources,
        unread=tuple(unread),
    )


def attempted[Read](name: str, read: Callable[[], Read], unread: list[str]) -> Read | None:
    """What was read or, if that failed, None. The name of what was not read is added to `unread`."""
    try:
        return read()
    except (ClientError, BotoCoreError, LatchkeyError) as error:
        reason = error if isinstance(error, LatchkeyError) else translate(error)
        logger.warning("not read", subject=name, error=type(reason).__name__, reason=str(reason))
        unread.append(name)
        return None
