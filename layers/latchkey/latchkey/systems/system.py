"""What Latchkey must know about a media service: facts with their sources. How the service reads is the reader's behavior."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from urllib.parse import urlsplit

from latchkey.aws.planned_media import ShownResource
from latchkey.aws.rates import Quota
from latchkey.place import Place
from latchkey.systems.readers import PartnerAccess, Reader, ServicePrincipal
from latchkey.systems.token_formats import ANY, TokenFormat
from latchkey.wire import WireModel


class Resource(WireModel, ABC):
    """The consumer resource of a request. Set `configure` to false if CloudFormation or Terraform owns its settings."""

    # The middle part of the access id.
    kind: ClassVar[str]

    configure: bool = True

    @property
    @abstractmethod
    def name(self) -> str:
        """The name in the account and Region: the last part of the access id."""

    @classmethod
    def arn_of(cls, name: str, place: Place) -> str | None:  # noqa: ARG003  most services choose their ARNs
        """The ARN of the resource with this name, or None if only the service knows it."""
        return None

    def arn(self, place: Place) -> str | None:
        """The ARN of this resource, or None if only the service knows it."""
        return self.arn_of(self.name, place)

    @property
    def origin_url(self) -> str | None:
        """The URL to which the service sends the token, or None if the resource has none."""
        return None

    @property
    def origin_host(self) -> str | None:
        """The host to which the service sends the token, or None if the resource has none."""
        return urlsplit(self.origin_url).hostname if self.origin_url else None

    @property
    def partners(self) -> tuple[PartnerAccess, ...]:
        """The partner accounts that the key policy must allow."""
        return ()

    @property
    def other_secret_arns(self) -> tuple[str, ...]:
        """The secrets that the resource accepts in addition to that of the request, and that its reader role reads as well."""
        return ()

    @property
    def warnings(self) -> dict[str, str]:
        """What is valid and does probably not do what the sender wants, by member."""
        return {}

    @property
    def secret_member_path(self) -> str | None:
        """The path of the request member that names the secret's JSON member, or None if the system fixes that name."""
        return None

    def wrong_location(self, place: Place) -> dict[str, str]:  # noqa: ARG002  most resources are named without an ARN
        """The members that belong to another account or Region, with the rule that each breaks."""
        return {}


@dataclass(frozen=True)
class SecretShape:
    """The shape of a secret's value for one resource: a JSON object whose `member` is the token, or (None) the token alone.

    `minimum` and `maximum` bound the length of the token in characters. `exclusive`: the object may have no other member.
    `former_maximum` is the length that earlier versions generated at most, if that was longer.
    """

    minimum: int
    maximum: int
    member: str | None = None
    exclusive: bool = False
    format: TokenFormat = ANY
    former_maximum: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.minimum <= self.maximum:
            raise ValueError("a secret's shape requires 0 < minimum <= maximum")

    @property
    def generated(self) -> tuple[int, int]:
        """The shortest and the longest token that can be generated, in characters."""
        return (self.format.length, self.format.length) if self.format.length else (self.minimum, self.maximum)

    @property
    def usual_length(self) -> int:
        """The length of a generated token if the request does not choose one, in characters."""
        shortest, longest = self.generated
        return max(shortest, min(40, longest))


@dataclass(frozen=True)
class Reading:
    """What a resource is configured with: the secret and, if its service assumes a role, that role."""

    secret_arn: str
    role_arn: str | None = None


@dataclass(frozen=True)
class Configured:
    """The present configuration of a resource: the settings that Latchkey manages, and the secret it uses, if any.

    `other_settings` are the remaining settings in the form of the API, to send again where an update replaces everything.
    `full_settings` are both together. `more_secret_arns` are the secrets that the resource accepts in addition to `secret_arn`.
    `authentication` is the other way in which requests are authenticated now, in the word of the API; empty if there is none.
    `public_statements` are the statements in the policy of the resource that admit everybody without the token.
    """

    arn: str
    settings: Mapping[str, str]
    secret_arn: str | None
    other_settings: Mapping[str, Any]
    full_settings: Mapping[str, Any]
    tags: Mapping[str, str]
    more_secret_arns: tuple[str, ...] = ()
    authentication: str = ""
    public_statements: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether the resource serves without a secret and without another way to authenticate."""
        return self.secret_arn is None and not self.authentication


class Configuration(ABC):
    """How the resources of one system are read and configured. `client` is a boto3 client of `service`.

    `our_settings` are the members of `Configured.full_settings` that Latchkey sets. `role_not_ready_errors` are the error codes
    with which the service rejects a role that may be too new to be known everywhere. `denial_statuses` are the HTTP statuses,
    in addition to 403, with which the service can answer a permission that its caller lacks. `can_be_removed`: an API call
    restores a resource that had no such settings before. `has_alerts`: the service reports alerts about its resources. `shown`
    is how the service returns its resources, for plans. `quotas` are those that many onboardings at once would exceed.
    """

    service: ClassVar[str]
    shown: ClassVar[ShownResource]
    our_settings: ClassVar[frozenset[str]]
    role_not_ready_errors: ClassVar[frozenset[str]] = frozenset()
    denial_statuses: ClassVar[frozenset[int]] = frozenset()
    can_be_removed: ClassVar[bool] = True
    has_alerts: ClassVar[bool] = False
    quotas: ClassVar[tuple[Quota, ...]] = ()

    @abstractmethod
    def wanted(self, resource: Any, reading: Reading) -> dict[str, str]:
        """The settings that the resource must have, by the names of `Configured.settings`."""

    @abstractmethod
    def read(self, client: Any, resource: Any) -> Configured | None:
        """The present configuration, or None if the resource does not exist."""

    def listed(self, client: Any) -> Mapping[str, Configured] | None:  # noqa: ARG002  for overrides
        """The present configuration of every resource of the Region by name, or None if no list of the service contains it.

        Complete, or it raises.
        """
        return None

    @abstractmethod
    def discovered(self, client: Any) -> Iterator[dict[str, Any]]:
        """The member `resource` of a request for each resource that is configured with a secret. Complete, or it raises."""

    @abstractmethod
    def update(self, client: Any, resource: Any, reading: Reading, present: Configured) -> None:
        """Configures the resource and keeps its other settings."""

    @abstractmethod
    def restore(self, client: Any, full_settings: Mapping[str, Any]) -> None:
        """Sets the resource to earlier `full_settings`. Raises Conflict if no API call can."""

    def restore_from(self, client: Any, present: Configured, full_settings: Mapping[str, Any]) -> None:  # noqa: ARG002  for overrides
        """Restores a resource whose `present` configuration was just read. Raises Conflict if no API call can."""
        self.restore(client, full_settings)

    def comparable(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Full or other settings in a form in which equal settings are equal."""
        return settings

    def is_same(self, one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
        """Whether full settings are equal. AWS does not return every setting in the form in which it was set."""
        return one is other if one is None or other is None else self.comparable(one) == self.comparable(other)

    def is_unchanged(self, present: Configured | None, former: Configured) -> bool:
        """Whether a resource is as an earlier read returned it."""
        return present is not None and self._comparable(present) == self._comparable(former)

    def _comparable(self, configured: Configured) -> Configured:
        full, other = self.comparable(configured.full_settings), self.comparable(configured.other_settings)
        return replace(configured, full_settings=full, other_settings=other)

    def restored_settings(
        self, present: Mapping[str, Any], found: Mapping[str, Any], left: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The present full settings, in which the members that Latchkey set have the values that it `found`.

        A member that no longer has the value that Latchkey `left` stays, because somebody else has changed it since.
        """
        restored, now, before = dict(present), self.comparable(present), self.comparable(left)
        for member in self.our_settings:
            if now.get(member) == before.get(member):
                restored.pop(member, None)
                restored |= {member: found[member]} if member in found else {}
        return restored

    def settings_of_others(
        self, present: Mapping[str, Any], found: Mapping[str, Any], left: Mapping[str, Any]
    ) -> frozenset[str]:
        """The members that Latchkey set, and whose present values are neither those that it found nor those that it left."""
        now, *known = map(self.comparable, (present, found, left))
        return frozenset(
            member for member in self.our_settings if now.get(member) not in [settings.get(member) for settings in known]
        )

    def names_secret(self, full_settings: Mapping[str, Any], is_secret: Callable[[str], bool]) -> bool:
        """Whether the members that Latchkey sets name a secret."""
        return any(_has_text(full_settings.get(member), is_secret) for member in self.our_settings)

    def steps_without_api(self, resource: Any) -> tuple[str, ...]:  # noqa: ARG002  most services have an API call for it
        """The steps by which a person ends the use of the secret if `without_secret` returns None."""
        return ()

    def without_secret(self, full_settings: Mapping[str, Any], secret_arn: str) -> dict[str, Any] | None:  # noqa: ARG002
        """The full settings without the secret and otherwise unchanged, or None if no API call can set them."""
        return None

    def alerts(self, client: Any, resource_arn: str) -> tuple[str, ...]:  # noqa: ARG002  few services have alerts
        """The codes of the alerts that the service reports for the resource."""
        return ()

    def consent_target(self, client: Any, present: Configured) -> tuple[str, Mapping[str, str]]:  # noqa: ARG002  most have tags
        """The ARN and tags of what the owner tags to consent: the resource, or the resource that contains it."""
        return present.arn, present.tags

    def unsupported_reasons(self, resource: Any, present: Configured) -> Iterable[str]:  # noqa: ARG002  few have any
        """Why the present resource cannot be configured as requested, one rule each."""
        return ()

    def refused_updates(self, present: Configured) -> Iterable[str]:  # noqa: ARG002  few services refuse any
        """Why the service would refuse to update the present resource in its present state, one rule each."""
        return ()


def _has_text(value: Any, is_wanted: Callable[[str], bool]) -> bool:
    if isinstance(value, str):
        return is_wanted(value)
    members = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return any(_has_text(member, is_wanted) for member in members)


class CreatingConfiguration(Configuration):
    """A configuration whose resources Latchkey creates if they do not exist. Resources of other systems must exist."""

    @abstractmethod
    def create(self, client: Any, resource: Any, reading: Reading, tags: Mapping[str, str]) -> bool:
        """Creates the resource with its settings and tags. Returns False if it exists by now."""

    @abstractmethod
    def delete(self, client: Any, resource: Any) -> None:
        """Deletes the resource. Raises if something was added to it since it was created."""

    @abstractmethod
    def contents(self, client: Any, resource: Any) -> tuple[str, ...]:
        """What the resource contains, such as the names of its sources. Complete, or it raises."""


class GrantedConfiguration(Configuration):
    """A configuration whose service creates a KMS grant for each resource.

    `trail_operations` are the operations of the service after which a grant may be orphaned; their CloudTrail records name the
    resource in the member `named_by`. `renewal` is the operation that, with the current settings, creates the grant again.
    """

    renewal: ClassVar[str]
    trail_operations: ClassVar[frozenset[str]]
    named_by: ClassVar[str]

    @abstractmethod
    def arn_of(self, name: str, place: Place) -> str:
        """The ARN of the resource with this name: grants can be constrained to it."""

    @abstractmethod
    def read_named(self, client: Any, name: str) -> Configured | None:
        """The present configuration of the resource with this name, or None if it does not exist."""

    def read(self, client: Any, resource: Any) -> Configured | None:
        return self.read_named(client, resource.name)

    @abstractmethod
    def altered(self, full_settings: Mapping[str, Any]) -> dict[str, Any] | None:
        """Settings that differ from these and mean the same, so that an update is a change. None if there are none."""

    @abstractmethod
    def secrets_by_name(self, client: Any) -> Mapping[str, str | None]:
        """Every resource with the secret it uses, if any. Complete, or it raises."""


class Handoff(WireModel):
    """What the owner of a resource must do: the values to set, the steps, and a CloudFormation snippet where there is one."""

    values: dict[str, str]
    steps: tuple[str, ...]
    cloud_formation: dict[str, Any] | None = None


@dataclass(frozen=True)
class Counterpart:
    """Those at the other end of a resource, who need the token: a CDN, receivers of a stream, or the origin.

    `who` names them. `preparation` is what they do with the token before they need it, from the resource. `interrupted`: they
    need it as soon as a resource is configured that served without it. Otherwise, they can do without it until somebody
    requires it: the owner of an endpoint who removes what admits everybody, or the origin.
    """

    who: Callable[[Any], str]
    preparation: Callable[[Any], str]
    interrupted: bool = True


@dataclass(frozen=True)
class Rotation:
    """What a new token requires of the service of a resource, and of those at its other end.

    `before` is what they do before the service uses the new token, or None if they need it only afterwards: a rotation then
    waits for nobody. `after` is what they do once the token is current. Both are computed from the resource. `keeps_previous`:
    the service accepts the previous token as well, until the next rotation. `interrupts`: the service uses one token at a time,
    and so do those at the other end. `needs_update`: the service may read a new token only when the resource is configured.
    """

    after: Callable[[Any], str]
    before: Callable[[Any], str] | None = None
    keeps_previous: bool = False
    interrupts: bool = False
    needs_update: bool = False


@dataclass(frozen=True)
class System:
    """One media system. `documents` are the pages from which its facts come.

    `secret` returns the shape of the value for a resource, or is None if the system reads no secret. `configuration` is None if
    no API configures the resource. `handoff` returns what is left to a person, from the resource, what it reads (None without a
    secret), the ARN of the key, and the place. `effect_delay_seconds` is how long the service can use the value it read before.
    A key that is `key_is_exclusive` serves one access for ever, and is never changed or removed automatically. `counterpart` is
    None if nobody else needs the token. `rotation` is None if the system reads no secret.
    """

    name: str
    resource: type[Resource]
    reader: Reader
    secret: Callable[[Any], SecretShape] | None
    configuration: Configuration | None
    handoff: Callable[[Any, Reading | None, str, Place], Handoff]
    documents: tuple[str, ...]
    effect_delay_seconds: int | None = None
    key_is_exclusive: bool = False
    counterpart: Counterpart | None = None
    rotation: Rotation | None = None

    @property
    def interrupts(self) -> bool:
        """Whether the configuration of a resource that serves without a token interrupts those who use it."""
        return self.counterpart is not None and self.counterpart.interrupted

    @property
    def granted(self) -> tuple[ServicePrincipal, GrantedConfiguration] | None:
        """The reader and configuration of a system whose service creates grants, or None."""
        if isinstance(self.reader, ServicePrincipal) and isinstance(self.configuration, GrantedConfiguration):
            return self.reader, self.configuration
        return None
