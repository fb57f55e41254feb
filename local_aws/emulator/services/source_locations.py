"""Storage for MediaTailor's source locations and their VOD and live sources."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local_aws.emulator import clock

TOKEN = "SECRETS_MANAGER_ACCESS_TOKEN"


@dataclass(frozen=True)
class GrantRef:
    key_arn: str
    grant_id: str


@dataclass
class Source:
    """A VOD or live source. `alerts` are the messages of its last manifest requests by alert code."""

    kind: str
    name: str
    arn: str
    packages: list[dict[str, str]]
    tags: dict[str, str]
    created: datetime
    modified: datetime
    alerts: dict[str, str] = field(default_factory=dict)


@dataclass
class SourceLocation:
    """A source location. `settings` are the members of CreateSourceLocation except name and tags."""

    name: str
    account: str
    region: str
    settings: dict[str, Any]
    tags: dict[str, str]
    created: datetime
    modified: datetime
    appears: datetime | None = None
    grant: GrantRef | None = None
    # The token that MediaTailor read last, and when.
    cached_token: tuple[str, float] | None = field(default=None, repr=False)
    sources: dict[tuple[str, str], Source] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return f"arn:aws:mediatailor:{self.region}:{self.account}:sourceLocation/{self.name}"

    @property
    def is_visible(self) -> bool:
        return self.appears is None or self.appears <= clock.now()

    @property
    def grant_name(self) -> str:
        """https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-overview.html"""
        return f"MediaTailor-SourceLocation-{self.account}-{self.name}"

    @property
    def base_url(self) -> str:
        return str(self.settings["HttpConfiguration"]["BaseUrl"])

    @property
    def token(self) -> dict[str, str] | None:
        """HeaderName, SecretArn and SecretStringKey, or None without a Secrets Manager access token."""
        access = self.settings.get("AccessConfiguration") or {}
        if access.get("AccessType") != TOKEN:
            return None
        found: dict[str, str] = access.get("SecretsManagerAccessTokenConfiguration") or {}
        return found

    def source_arn(self, kind: str, name: str) -> str:
        return f"arn:aws:mediatailor:{self.region}:{self.account}:{kind}Source/{self.name}/{name}"


class SourceLocations:
    """Source locations by account, Region and name."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str, str], SourceLocation] = {}

    def get(self, account: str, region: str, name: str) -> SourceLocation | None:
        return self._all.get((account, region, name))

    def put(self, location: SourceLocation) -> None:
        self._all[location.account, location.region, location.name] = location

    def remove(self, location: SourceLocation) -> None:
        del self._all[location.account, location.region, location.name]

    def clear(self) -> None:
        self._all.clear()

    def of(self, account: str, region: str) -> list[SourceLocation]:
        """Returns the source locations of an account and Region, sorted by name."""
        return [found for key, found in sorted(self._all.items()) if key[:2] == (account, region)]

    def everywhere(self) -> list[SourceLocation]:
        return list(self._all.values())

    def uses(self, grant: GrantRef) -> bool:
        return any(location.grant == grant for location in self.everywhere())
