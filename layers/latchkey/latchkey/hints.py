"""Hints that a grant may have been left behind: what a trail event is about, in the registry's terms."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from latchkey.documents import Document
from latchkey.settings import Place
from latchkey.systems import SYSTEMS
from latchkey.systems.system import System

# What Latchkey names consists of these; a record that names something else is about nothing of ours.
_NAME = re.compile(r"[!-~]{1,512}")

type _Printable = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,128}$")]


class Hint(Document):
    """The event for which somebody looked. It decides nothing: only fresh reads do."""

    event_id: str
    event_name: str
    event_time: AwareDatetime


class CleanUpInput(Document):
    """The input of an execution of the clean-up state machine; every member is sent.

    `keys` are keys on which the sweep found grants of the access, in addition to the keys in the registry. `hint` is the trail
    event that started the clean-up, null if the sweep started it.
    """

    access_id: str
    keys: tuple[str, ...] = ()
    hint: Hint | None = None


@dataclass(frozen=True)
class Concern:
    """What a hint is about, by the ids of the registry's items: accesses, or the keys and secrets that they refer to."""

    hint: Hint
    accesses: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """One event source: the operations that are hints, where its records name what they are about, and who that is to us.

    `places` are tried in order, whatever the case of their members: the first that holds a text decides. `items` turns it
    into ids of the registry's items, of accesses or of resources. `heeds_us`: operations that are hints from us, too.
    """

    operations: frozenset[str]
    places: tuple[tuple[str, str], ...]
    kind: Literal["accesses", "resources"]
    items: Callable[[str, Place], Iterable[str]]
    heeds_us: frozenset[str] = frozenset()


class _Record(BaseModel):
    """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html"""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True, strict=True)

    event_id: Annotated[_Printable, Field(alias="eventID")]
    event_name: _Printable
    event_source: str
    event_time: Annotated[AwareDatetime, Field(strict=False)]
    error_code: Any = None
    user_identity: dict[str, Any] | None = None
    request_parameters: dict[str, Any] | None = None
    response_elements: dict[str, Any] | None = None
    additional_event_data: dict[str, Any] | None = None
    service_event_details: dict[str, Any] | None = None
    resources: list[dict[str, Any]] | None = None


class _Event(BaseModel):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html"""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    kind: Annotated[Literal["AWS API Call via CloudTrail", "AWS Service Event via CloudTrail"], Field(alias="detail-type")]
    detail: _Record


def _access(system: System, text: str, _place: Place) -> Iterator[str]:
    yield f"{system.name}/{system.resource.kind}/{unquote(text)}"


def _secret(text: str, place: Place) -> Iterator[str]:
    """A secret by name, by ARN, or by an ARN without its suffix; where a name may end like one, both are meant."""
    name = _here(text, place.arn("secretsmanager", "secret:"))
    names = {name} if name == text else {name, re.sub(r"-[A-Za-z0-9]{6}$", "", name)}
    yield from sorted(f"secret {name}" for name in names - {""})


def _key(text: str, place: Place) -> Iterator[str]:
    keys = place.arn("kms", "key/")
    if name := _here(text, keys):
        yield f"{keys}{name}"


def _here(text: str, prefix: str) -> str:
    """A name or id, bare or behind the prefix of ARNs here; empty for an ARN elsewhere."""
    return "" if text.startswith("arn:") and not text.startswith(prefix) else text.removeprefix(prefix)


SOURCES: Final[Mapping[str, Source]] = {
    # https://docs.aws.amazon.com/secretsmanager/latest/userguide/cloudtrail_log_entries.html
    "secretsmanager.amazonaws.com": Source(
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
        places=(
            ("response_elements", "arn"),
            ("request_parameters", "secretid"),
            ("additional_event_data", "secretid"),
            ("resources", "arn"),
        ),
        kind="resources",
        items=_secret,
    ),
    # https://docs.aws.amazon.com/kms/latest/developerguide/understanding-kms-entries.html
    "kms.amazonaws.com": Source(
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
        places=(
            ("resources", "arn"),
            ("response_elements", "keyid"),
            ("request_parameters", "keyid"),
            ("service_event_details", "keyid"),
        ),
        kind="resources",
        items=_key,
    ),
} | {
    f"{configuration.service}.amazonaws.com": Source(
        operations=configuration.hints,
        places=tuple((holder, configuration.named_by.lower()) for holder in ("request_parameters", "response_elements")),
        kind="accesses",
        items=partial(_access, system),
        # An undo deletes or restores a resource and leaves its grants to the clean-up; what we make we prove ourselves.
        heeds_us=frozenset(name for name in configuration.hints if not name.startswith("Create")),
    )
    for system in SYSTEMS.values()
    if system.granted
    for _, configuration in [system.granted]
}


def read_hint(event: object, place: Place, own_roles: Collection[str]) -> Concern | None:
    """What an event of the default bus is a hint of; None for what failed, for what we did ourselves, and for all else."""
    try:
        record = _Event.model_validate(event).detail
    except ValidationError:
        return None
    source = SOURCES.get(record.event_source)
    if source is None or record.event_name not in source.operations or record.error_code is not None:
        return None
    if record.event_name not in source.heeds_us and _issuer(record.user_identity) in own_roles:
        return None
    text = next(_texts(record, source.places), "")
    if not _NAME.fullmatch(text):
        return None
    hint = Hint(eventId=record.event_id, eventName=record.event_name, eventTime=record.event_time)
    items = tuple(source.items(text, place))
    return Concern(hint, **{source.kind: items}) if items else None


def _issuer(identity: Any) -> Any:
    """The role in whose session a call was made.

    https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
    """
    for member in ("sessionContext", "sessionIssuer", "arn"):
        identity = identity.get(member) if isinstance(identity, dict) else None
    return identity if isinstance(identity, str) else None


def _texts(record: _Record, places: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """What a record holds at these places; members are written `arn`, `aRN` or `ARN`, `keyId` or `KeyId`."""
    for holder, member in places:
        held = getattr(record, holder) or []
        for values in held if isinstance(held, list) else [held]:
            yield from (text for name, text in values.items() if name.lower() == member and isinstance(text, str) and text)
