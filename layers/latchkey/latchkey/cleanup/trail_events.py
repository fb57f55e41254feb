"""CloudTrail events after which a grant may be orphaned: the accesses, keys and secrets that an event affects. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from latchkey.cleanup.verdict import Reason
from latchkey.events.cleanup import Printable, TrailEvent
from latchkey.place import Place
from latchkey.systems import SYSTEMS
from latchkey.systems.system import System

# Everything that Latchkey can name consists of these characters.
_NAME = re.compile(r"[!-~]{1,512}")


@dataclass(frozen=True)
class AffectedItems:
    """What a trail event affects, by registry ids: accesses, or the keys and secrets that accesses refer to."""

    trail_event: TrailEvent
    accesses: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrailSource:
    """One event source: the operations that count, and the members of its records that name what they affect.

    `members` (holder, name) are tried in order, ignoring case; the first that contains text is used. `items` converts that
    text into registry ids of `kind`. `own_operations` count even if one of our own roles made the call.
    """

    operations: frozenset[str]
    members: tuple[tuple[str, str], ...]
    kind: Literal["accesses", "resources"]
    items: Callable[[str, Place], Iterable[str]]
    own_operations: frozenset[str] = frozenset()


class _Record(BaseModel):
    """A record. https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html"""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True, strict=True)

    event_id: Annotated[Printable, Field(alias="eventID")]
    event_name: Printable
    event_source: str
    event_time: Annotated[AwareDatetime, Field(strict=False)]
    error_code: Any = None
    # CloudTrail replaces members that are too long by texts, or omits them. A record counts by the members that it has.
    user_identity: Any = None
    request_parameters: Any = None
    response_elements: Any = None
    additional_event_data: Any = None
    service_event_details: Any = None
    resources: Any = None


class _Event(BaseModel):
    """An event. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html"""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    kind: Annotated[Literal["AWS API Call via CloudTrail", "AWS Service Event via CloudTrail"], Field(alias="detail-type")]
    detail: _Record


def _access(system: System, text: str, place: Place) -> Iterator[str]:
    """An access by the name of its resource, or by the ARN of a resource of this account and Region."""
    if name := _here(text, system.resource.arn_of("", place) or ""):
        yield f"{system.name}/{system.resource.kind}/{unquote(name)}"


def _secret(text: str, place: Place) -> Iterator[str]:
    """A secret by name, by ARN, or by an ARN without its suffix. If a name ends like a suffix, both readings count."""
    name = _here(text, place.arn("secretsmanager", "secret:"))
    names = {name} if name == text else {name, re.sub(r"-[A-Za-z0-9]{6}$", "", name)}
    yield from sorted(f"secret {name}" for name in names - {""})


def _key(text: str, place: Place) -> Iterator[str]:
    keys = place.arn("kms", "key/")
    if name := _here(text, keys):
        yield f"{keys}{name}"


def _here(text: str, prefix: str) -> str:
    """The name or id in a text, without the ARN prefix of this account and Region; empty for any other ARN."""
    return "" if text.startswith("arn:") and not text.startswith(prefix) else text.removeprefix(prefix)


SOURCES: Final[Mapping[str, TrailSource]] = {
    # https://docs.aws.amazon.com/secretsmanager/latest/userguide/cloudtrail_log_entries.html
    "secretsmanager.amazonaws.com": TrailSource(
        operations=frozenset(
            [
                "CancelSecretVersionDelete",
                "DeleteResourcePolicy",
                "DeleteSecret",
                "EndSecretVersionDelete",
                "PutResourcePolicy",
                "RestoreSecret",
                "StartSecretVersionDelete",
                "UpdateSecret",
            ]
        ),
        members=(
            ("response_elements", "arn"),
            ("request_parameters", "secretid"),
            ("additional_event_data", "secretid"),
            ("resources", "arn"),
        ),
        kind="resources",
        items=_secret,
    ),
    # https://docs.aws.amazon.com/kms/latest/developerguide/understanding-kms-entries.html
    "kms.amazonaws.com": TrailSource(
        operations=frozenset(
            [
                "CancelKeyDeletion",
                "DeleteKey",
                "DisableKey",
                "EnableKey",
                "PutKeyPolicy",
                "RevokeGrant",
                "ScheduleKeyDeletion",
            ]
        ),
        members=(
            ("resources", "arn"),
            ("response_elements", "keyid"),
            ("request_parameters", "keyid"),
            ("service_event_details", "keyid"),
        ),
        kind="resources",
        items=_key,
    ),
} | {
    f"{configuration.service}.amazonaws.com": TrailSource(
        operations=configuration.trail_operations,
        members=(
            ("request_parameters", configuration.named_by.lower()),
            ("response_elements", configuration.named_by.lower()),
            ("resources", "arn"),
        ),
        kind="accesses",
        items=partial(_access, system),
        # A rollback deletes or restores a resource and leaves its grants to the cleanup. What we create we validate ourselves.
        own_operations=frozenset(name for name in configuration.trail_operations if not name.startswith("Create")),
    )
    for system in SYSTEMS.values()
    if system.granted
    for _, configuration in [system.granted]
}


# The reasons for which a grant is orphaned, and what the operations begin with that bring that about.
_CAUSES: Final[Mapping[Reason, tuple[str, ...]]] = {
    Reason.RESOURCE_GONE: ("DeleteSourceLocation",),
    Reason.NO_TOKEN: ("UpdateSourceLocation", "CreateSourceLocation"),
    Reason.OTHER_SECRET: ("UpdateSourceLocation", "CreateSourceLocation"),
    Reason.SECRET_GONE: ("DeleteSecret", "StartSecretVersionDelete"),
    Reason.SERVICE_NOT_ALLOWED: ("PutResourcePolicy", "DeleteResourcePolicy"),
    Reason.MOVED: ("UpdateSecret",),
}


def is_cause(trail_event: TrailEvent, reason: str) -> bool:
    """Whether the call in a trail event can be what orphaned a grant for this reason, so that its time is that of the cause."""
    return any(reason == known.text() and trail_event.event_name in names for known, names in _CAUSES.items())


def read_trail_event(event: object, place: Place, own_roles: Collection[str]) -> AffectedItems | None:
    """What an event affects. None for failed calls, for calls of our own roles, and for events that do not count."""
    try:
        record = _Event.model_validate(event).detail
    except ValidationError:
        return None
    source = SOURCES.get(record.event_source)
    if source is None or record.event_name not in source.operations or record.error_code is not None:
        return None
    if record.event_name not in source.own_operations and _issuer(record.user_identity) in own_roles:
        return None
    text = next(_texts(record, source.members), "")
    if not _NAME.fullmatch(text):
        return None
    trail_event = TrailEvent(
        eventId=record.event_id,
        eventName=record.event_name,
        eventTime=record.event_time,
        principal=_principal(record.user_identity),
    )
    items = tuple(source.items(text, place))
    return AffectedItems(trail_event, **{source.kind: items}) if items else None


def _principal(identity: Any) -> str | None:
    """Who made a call: an ARN, or the AWS service that made it on its own behalf."""
    named = (identity.get(member) for member in ("arn", "invokedBy")) if isinstance(identity, dict) else ()
    return next((text for text in named if isinstance(text, str) and _NAME.fullmatch(text)), None)


def _issuer(identity: Any) -> Any:
    """The ARN of the role in whose session a call was made.

    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
    """
    for member in ("sessionContext", "sessionIssuer", "arn"):
        identity = identity.get(member) if isinstance(identity, dict) else None
    return identity if isinstance(identity, str) else None


def _texts(record: _Record, members: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """The texts of these members of a record. Services write `arn`, `aRN` or `ARN`, and `keyId` or `KeyId`."""
    for holder, member in members:
        held = getattr(record, holder)
        for values in (one for one in (held if isinstance(held, list) else [held]) if isinstance(one, dict)):
            yield from (text for name, text in values.items() if name.lower() == member and isinstance(text, str) and text)
