"""What Latchkey must know of a system: facts with their sources; how it reads is the reader's behaviour."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from latchkey.place import Place
from latchkey.systems.readers import Reader, ServicePrincipal
from latchkey.systems.token_formats import ANY, TokenFormat
from latchkey.wire import WireModel


class Resource(WireModel, ABC):
    """The consumer resource that a request names; `kind` is the middle part of an access id.

    `configure` is false where CloudFormation or Terraform owns the resource: then everything is made but its settings.
    """

    kind: ClassVar[str]

    configure: bool = True

    @property
    @abstractmethod
    def name(self) -> str:
        """The name within the account and Region, the last part of an access id."""

    @classmethod
    def arn_of(cls, name: str, place: Place) -> str | None:  # noqa: ARG003  most services choose their ARNs
        """The ARN of the resource of this name here; None where only its service knows it."""
        return None

    def arn(self, place: Place) -> str | None:
        """The ARN of the resource here, or None as in `arn_of`."""
        return self.arn_of(self.name, place)

    def misplaced(self, place: Place) -> dict[str, str]:  # noqa: ARG002  most are named without account and Region
        """What of the resource belongs to another account or Region: places within it and the rules they break."""
        return {}


@dataclass(frozen=True)
class SecretShape:
    """The form of a secret's value for one resource: a JSON object whose `member` holds the token, or (None) the token alone.

    `minimum` and `maximum` bound the token's length in characters. `exclusive`: no other member may stand beside it.
    """

    minimum: int
    maximum: int
    member: str | None = None
    exclusive: bool = False
    form: TokenFormat = ANY

    def __post_init__(self) -> None:
        if not 0 < self.minimum <= self.maximum:
            raise ValueError("a secret's shape needs 0 < minimum <= maximum")

    @property
    def generated(self) -> tuple[int, int]:
        """The shortest and the longest token that may be generated, in characters."""
        return (self.form.length, self.form.length) if self.form.length else (self.minimum, self.maximum)

    @property
    def usual_length(self) -> int:
        """The length of a token for which nobody asks another, in characters."""
        shortest, longest = self.generated
        return max(shortest, min(40, longest))


@dataclass(frozen=True)
class Reading:
    """What a resource is pointed at: the secret, and the role by which its service reads it, if it does so by a role."""

    secret_arn: str
    role_arn: str | None = None


@dataclass(frozen=True)
class Configured:
    """What a consumer resource is set to now: the settings Latchkey cares for, and the secret it reads, if any.

    `kept` are its other settings as the API takes them, to be sent again where an update replaces the whole; `whole` are all.
    """

    arn: str
    settings: Mapping[str, str]
    secret_arn: str | None
    kept: Mapping[str, Any]
    whole: Mapping[str, Any]
    tags: Mapping[str, str]


class Configuration(ABC):
    """How the consumer resources of one system are read and set; `client` is a boto3 client of `service`.

    `ours` are the members of `Configured.whole` that Latchkey sets; `unready` the errors by which the service says that it
    cannot use a role, which may be too new to be known everywhere.
    """

    service: ClassVar[str]
    ours: ClassVar[frozenset[str]]
    unready: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def wanted(self, resource: Any, reading: Reading) -> dict[str, str]:
        """The settings `resource` must show, in the keys of `Configured.settings`."""

    @abstractmethod
    def read(self, client: Any, resource: Any) -> Configured | None:
        """What the resource is set to, or None if it does not exist."""

    @abstractmethod
    def update(self, client: Any, resource: Any, reading: Reading, present: Configured) -> None:
        """Sets the resource, losing none of its other settings."""

    @abstractmethod
    def restore(self, client: Any, whole: Mapping[str, Any]) -> None:
        """Sets the resource back to `whole` of an earlier `Configured`; raises Conflict where no call does that."""

    def put_back(self, present: Mapping[str, Any], former: Mapping[str, Any]) -> dict[str, Any]:
        """`present` with what Latchkey sets as it was in `former`, both the `whole` of a `Configured`: all else stays."""
        others = {member: value for member, value in present.items() if member not in self.ours}
        return others | {member: value for member, value in former.items() if member in self.ours}

    def alerts(self, client: Any, resource_arn: str) -> tuple[str, ...]:  # noqa: ARG002  few services tell
        """The codes of what the service complains of about the resource now."""
        return ()

    def owned(self, client: Any, present: Configured) -> tuple[str, Mapping[str, str]]:  # noqa: ARG002  most are tagged themselves
        """What its owner consents on by a tag: the ARN of the resource, or of what it is part of, and the tags there."""
        return present.arn, present.tags

    def refusals(self, resource: Any, present: Configured) -> Iterable[str]:  # noqa: ARG002  few resources cannot be set
        """Why the resource as it is can not be set to what is asked, one rule each."""
        return ()


class CreatingConfiguration(Configuration):
    """One whose resources Latchkey makes where they do not exist; those of other systems must be there."""

    @abstractmethod
    def create(self, client: Any, resource: Any, reading: Reading, tags: Mapping[str, str]) -> bool:
        """Makes the resource with its settings and tags; False if it is there by now, made by somebody or an earlier try."""

    @abstractmethod
    def delete(self, client: Any, resource: Any) -> None:
        """Deletes the resource; raises if something was put into it since."""


class GrantedConfiguration(Configuration):
    """One whose service makes a KMS grant for each resource.

    `hints` are the operations of the service that may leave a grant behind; their trail records name the resource by the
    member `named_by`.
    """

    # The call, with unchanged settings, by which the service makes its grant again.
    renewal: ClassVar[str]
    hints: ClassVar[frozenset[str]]
    named_by: ClassVar[str]

    @abstractmethod
    def arn_of(self, name: str, place: Place) -> str:
        """The ARN of the resource of this name: grants may be bound to it."""

    @abstractmethod
    def read_named(self, client: Any, name: str) -> Configured | None:
        """What the resource of this name is set to, or None if it does not exist."""

    def read(self, client: Any, resource: Any) -> Configured | None:
        return self.read_named(client, resource.name)

    @abstractmethod
    def secrets_by_name(self, client: Any) -> Mapping[str, str | None]:
        """Every resource there is with the secret it reads, if any; complete, or it raises."""


class Handoff(WireModel):
    """What is left to the owner of a resource: values to set, steps in words, and a piece of a CloudFormation template."""

    values: dict[str, str]
    steps: tuple[str, ...]
    cloud_formation: dict[str, Any] | None = None


@dataclass(frozen=True)
class System:
    """One media system.

    `secret` gives the shape of the value for a resource, or is None where the system reads no secret; `configuration` is None
    where no API sets its resource. `handoff` tells what is left to a person, from the resource, what it reads (None without a
    secret), the key's ARN and the place. `effect_delay_seconds` is how long the service may go on with what it read before.
    A key that is `key_is_exclusive` serves one access for ever, and nothing of it is changed or removed automatically.
    `documents` are the pages the facts come from.
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

    @property
    def granted(self) -> tuple[ServicePrincipal, GrantedConfiguration] | None:
        """Reader and configuration of a system whose service makes grants, or None."""
        if isinstance(self.reader, ServicePrincipal) and isinstance(self.configuration, GrantedConfiguration):
            return self.reader, self.configuration
        return None
