"""CDN authorization of MediaPackage: a header that must hold the current or the previous value of a secret.

https://docs.aws.amazon.com/mediapackage/latest/ug/cdn-auth.html (v1 and VOD)
https://docs.aws.amazon.com/mediapackage/latest/userguide/cdn-auth.html (v2)
"""

import json
import threading
from dataclasses import dataclass

from local_aws import clock
from local_aws.assumptions import CURRENT
from local_aws.role_secrets import AssumedRole, RoleSecrets, UnreadableError, check_secret_arn


@dataclass(frozen=True)
class Scheme:
    """What differs between the generations; `service` is whom the role trusts."""

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
    """The values that one endpoint accepts, read again when they are older than `cdnAuthDelaySeconds`."""

    def __init__(self, scheme: Scheme, owner_arn: str, secret_arns: list[str], role_arn: str, secrets: RoleSecrets) -> None:
        self._scheme, self._owner_arn, self._secret_arns = scheme, owner_arn, secret_arns
        self._role_arn, self._secrets = role_arn, secrets
        self._values: set[str] = set()
        self._read_at = 0.0
        self._one_at_a_time = threading.Lock()

    def establish(self) -> None:
        """Reads every secret with the role; raises UnreadableError where the service would refuse the configuration."""
        for arn in self._secret_arns:
            check_secret_arn(arn, self._owner_arn)
        if len(set(self._secret_arns)) < len(self._secret_arns):
            raise UnreadableError("DUPLICATED_SECRET", "A secret is named twice.")
        current, previous = self._read()
        for arn, string in current.items():
            _check_shape(self._scheme, arn, string)
        self._hold(current, previous)

    def admits(self, sent: str | None) -> bool:
        if sent is None:
            return False
        with self._one_at_a_time:
            if not self._read_at <= clock.seconds() < self._read_at + CURRENT.value.cdn_auth_delay_seconds:
                self._read_again()
            return sent in self._values

    def _read_again(self) -> None:
        try:
            self._hold(*self._read())
        except UnreadableError:
            self._hold({}, [])

    def _read(self) -> tuple[dict[str, str], list[str]]:
        """The current strings by secret, and the previous ones."""
        with self._secrets.assume(self._scheme.service, self._role_arn, self._owner_arn) as role:
            rotated = [arn for arn in self._secret_arns if "AWSPREVIOUS" in role.stages(arn)]
            current = self._current(role)
            return current, [role.value(arn, "AWSPREVIOUS") for arn in rotated]

    def _current(self, role: AssumedRole) -> dict[str, str]:
        if self._scheme.is_batched:
            return role.values(self._secret_arns)
        return {arn: role.value(arn) for arn in self._secret_arns}

    def _hold(self, current: dict[str, str], previous: list[str]) -> None:
        held = [_pairs(string).get(self._scheme.key) for string in (*current.values(), *previous)]
        self._values = {value for value in held if isinstance(value, str)}
        self._read_at = clock.seconds()


def _check_shape(scheme: Scheme, arn: str, string: str) -> None:
    """No message tells a value."""
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
