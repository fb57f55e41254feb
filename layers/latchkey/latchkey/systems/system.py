"""What Latchkey must know of a system: facts with their sources; how it reads is the reader's behaviour."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from latchkey.documents import Document
from latchkey.settings import Place
from latchkey.systems.readers import Reader


class Resource(Document, ABC):
    """The consumer resource that a request names; `kind` is the middle part of an access id."""

    kind: ClassVar[str]

    @property
    @abstractmethod
    def name(self) -> str:
        """The name within the account and Region, the last part of an access id."""

    @classmethod
    @abstractmethod
    def arn_of(cls, name: str, place: Place) -> str:
        """The ARN of the resource of this name here."""

    def arn(self, place: Place) -> str:
        """The ARN of the resource here."""
        return self.arn_of(self.name, place)


@dataclass(frozen=True)
class SecretShape:
    """The form of a secret's value: a JSON object; `member` names, for a resource, the one that holds the token.

    `minimum` and `maximum` bound the token's length in characters.
    """

    member: Callable[[Any], str]
    minimum: int
    maximum: int

    def __post_init__(self) -> None:
        if not 0 < self.minimum <= self.maximum:
            raise ValueError("a secret's shape needs 0 < minimum <= maximum")


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

    `hints` are the operations of the service that may leave a grant behind; their trail records name the resource by the
    member `named_by`.
    """

    service: ClassVar[str]
    # The call, with unchanged settings, by which the service makes its grant again.
    renewal: ClassVar[str]
    hints: ClassVar[frozenset[str]]
    named_by: ClassVar[str]

    @abstractmethod
    def wanted(self, resource: Any, secret_arn: str) -> dict[str, str]:
        """The settings `resource` must show, in the keys of `Configured.settings`."""

    @abstractmethod
    def read(self, client: Any, name: str) -> Configured | None:
        """What the resource of this name is set to, or None if it does not exist."""

    @abstractmethod
    def secrets_by_name(self, client: Any) -> Mapping[str, str | None]:
        """Every resource there is with the secret it reads, if any; complete, or it raises."""

    @abstractmethod
    def create(self, client: Any, resource: Any, secret_arn: str, tags: Mapping[str, str]) -> bool:
        """Makes the resource with its settings and tags; False if it is there by now, made by somebody or an earlier try."""

    @abstractmethod
    def update(self, client: Any, resource: Any, secret_arn: str, present: Configured) -> None:
        """Sets the resource, losing none of its other settings."""

    @abstractmethod
    def restore(self, client: Any, whole: Mapping[str, Any]) -> None:
        """Sets the resource back to what it was: `whole` of an earlier `Configured`."""

    @abstractmethod
    def delete(self, client: Any, resource: Any) -> None:
        """Deletes the resource; raises if something was put into it since."""

    @abstractmethod
    def alerts(self, client: Any, resource_arn: str) -> tuple[str, ...]:
        """The codes of what the service complains of about the resource now."""


@dataclass(frozen=True)
class System:
    """One media system.

    `secret` is None where the system reads no secret, `configuration` where no API sets its resource; `documents` are the
    pages the facts come from.
    """

    name: str
    resource: type[Resource]
    reader: Reader
    secret: SecretShape | None
    configuration: Configuration | None
    documents: tuple[str, ...]
