"""CDN authorization of MediaPackage: a header must have the current or the previous value of a secret.

https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth.html (v1 and VOD)
https://docs.aws.amazon.com/mediapackage/latest/userguide/cdn-auth.html (v2)
"""

import json
import threading
from dataclasses import dataclass

from local_aws.emulator import clock
from local_aws.emulator.assumptions import CURRENT
from local_aws.emulator.services.secrets_role import SecretsRoles, SecretsRoleSession, UnreadableError, check_secret_arn


@dataclass(frozen=True)
class Scheme:
    """Differences between the versions of MediaPackage. `service` is the principal that the role must trust."""

    service: str
    header: str
    key: str
    longest: int
    is_batched: bool = False
    only_pair: bool = False


V1 = Scheme("mediapackage.amazonaws.com", "X-MediaPackage-CDNIdentifier", "MediaPackageCDNIdentifier", 128)
V2 = Scheme(
    "mediapackagev2.amazonaws.com",
    "X-MediaPackageV2-CDNIdentifier",
    "MediaPackageV2CDNIdentifier",
    256,
    is_batched=True,
    only_pair=True,
)


class CdnAuthorization:
    """The header values that one endpoint accepts. They are cached for `cdnAuthDelaySeconds`."""

    def __init__(self, scheme: Scheme, owner_arn: str, secret_arns: list[str], role_arn: str, roles: SecretsRoles) -> None:
        self._scheme, self._owner_arn, self._secret_arns = scheme, owner_arn, secret_arns
        self._role_arn, self._roles = role_arn, roles
        self._values: set[str] = set()
        self._read_at = 0.0
        self._lock = threading.Lock()

    def validate(self) -> None:
        """Reads every secret through the role. Raises UnreadableError if the service would reject the configuration."""
        for arn in self._secret_arns:
            check_secret_arn(arn, self._owner_arn)
        if len(set(self._secret_arns)) < len(self._secret_arns):
            raise UnreadableError("DUPLICATED_SECRET", "The secret ARNs contain a duplicate.")
        current, previous = self._read()
        for arn, string in current.items():
            _check_shape(self._scheme, arn, string)
        self._cache(current, previous)

    def accepts(self, sent: str | None) -> bool:
        if sent is None:
            return False
        with self._lock:
            if not self._read_at <= clock.seconds() < self._read_at + CURRENT.value.cdn_auth_delay_seconds:
                self._read_again()
            return sent in self._values

    def _read_again(self) -> None:
        try:
            self._cache(*self._read())
        except UnreadableError:
            self._cache({}, [])

    def _read(self) -> tuple[dict[str, str], list[str]]:
        """Returns the current secret strings by ARN, and the previous secret strings."""
        with self._roles.assume(self._scheme.service, self._role_arn, self._owner_arn) as role:
            rotated = [arn for arn in self._secret_arns if "AWSPREVIOUS" in role.stages(arn)]
            current = self._current(role)
            return current, [role.value(arn, "AWSPREVIOUS") for arn in rotated]

    def _current(self, role: SecretsRoleSession) -> dict[str, str]:
        if self._scheme.is_batched:
            return role.values(self._secret_arns)
        return {arn: role.value(arn) for arn in self._secret_arns}

    def _cache(self, current: dict[str, str], previous: list[str]) -> None:
        values = [_pairs(string).get(self._scheme.key) for string in (*current.values(), *previous)]
        self._values = {value for value in values if isinstance(value, str)}
        self._read_at = clock.seconds()


def _check_shape(scheme: Scheme, arn: str, string: str) -> None:
    """Raises UnreadableError if MediaPackage does not accept the secret string. The message does not contain the value."""
    pairs = _pairs(string)
    if not pairs:
        raise UnreadableError("INVALID_SECRET_FORMAT", f"The secret {arn} is not a JSON object with a key and a value.")
    if scheme.only_pair and len(pairs) != 1:
        raise UnreadableError("SECRET_IS_NOT_ONE_KEY_VALUE_PAIR", f"The secret {arn} must hold exactly one key and value.")
    if scheme.key not in pairs:
        raise UnreadableError("INVALID_SECRET_KEY", f"The secret {arn} lacks the key {scheme.key}.")
    value = pairs[scheme.key]
    if not isinstance(value, str) or not 8 <= len(value) <= scheme.longest:
        text = f"The value of {scheme.key} in {arn} must have 8 to {scheme.longest} characters."
        raise UnreadableError("INVALID_SECRET_VALUE", text)


def _pairs(string: str) -> dict[str, object]:
    try:
        pairs = json.loads(string)
    except ValueError:
        return {}
    return pairs if isinstance(pairs, dict) else {}
