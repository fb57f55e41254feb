"""What is wrong with the configuration of a resource. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from latchkey.access.checks import uses_secret
from latchkey.access.desired import Desired
from latchkey.access.findings.finding import finding
from latchkey.access.observed import ObservedAccess
from latchkey.events.findings import Finding, FindingKind
from latchkey.systems.system import Configured

# The settings whose change has a kind of its own, by the names of `Configured.settings`.
_KINDS: Final[Mapping[str, FindingKind]] = MappingProxyType(
    {"baseUrl": FindingKind.RESOURCE_OTHER_BASE_URL, "header": FindingKind.RESOURCE_OTHER_HEADER}
)
_LONGEST = 256


def resource_findings(desired: Desired, observed: ObservedAccess) -> Iterator[Finding]:
    """What differs from the request. A resource that uses another secret, or none, is one finding."""
    configuration, secret, configured = desired.system.configuration, observed.secret, observed.configured
    if configuration is None or secret is None:
        return
    if configured is None:
        yield missing_resource(desired)
        return
    if not uses_secret(configured, secret.arn):
        yield _detached(configured, secret.arn)
        return
    wanted = configuration.wanted(desired.resource, desired.reading(observed.key.arn, secret.arn))
    wrong = {name: value for name, value in wanted.items() if configured.settings.get(name) != value}
    if configured.public_statements:
        evidence = f"{configured.arn}: {', '.join(configured.public_statements)} admits everybody without the token"
        yield finding(FindingKind.RESOURCE_OPEN, evidence)
        wrong.pop("policy", None)
    for name in sorted(wrong.keys() & _KINDS.keys()):
        yield finding(_KINDS[name], f"{configured.arn}: {_change(name, wrong.pop(name), configured)}")
    if wrong:
        changes = "; ".join(_change(name, wrong[name], configured) for name in sorted(wrong))
        yield finding(FindingKind.RESOURCE_OTHER_SETTING, f"{configured.arn}: {changes}")


def missing_resource(desired: Desired) -> Finding:
    """The finding about a resource that does not exist."""
    named = desired.resource.arn(desired.place) or f"{desired.resource.kind} {desired.resource.name}"
    return finding(FindingKind.RESOURCE_MISSING, f"{named} does not exist")


def alert_finding(observed: ObservedAccess) -> Iterator[Finding]:
    """The alerts that the service reports."""
    if observed.configured and observed.alerts:
        yield finding(FindingKind.RESOURCE_ALERT, f"{observed.configured.arn}: {', '.join(observed.alerts)}")


def _detached(configured: Configured, secret_arn: str) -> Finding:
    if configured.secret_arn is None:
        other = f"authenticates with {configured.authentication}" if configured.authentication else "uses no secret"
        return finding(FindingKind.RESOURCE_NO_TOKEN, f"{configured.arn} {other}, instead of {secret_arn}")
    evidence = f"{configured.arn} uses {configured.secret_arn}, instead of {secret_arn}"
    return finding(FindingKind.RESOURCE_OTHER_SECRET, evidence)


def _change(name: str, wanted: str, configured: Configured) -> str:
    present = configured.settings.get(name, "")
    return f"{name} is {_shown(name, present)} instead of {_shown(name, wanted)}"


def _shown(name: str, value: str) -> str:
    """A setting without what can be a credential: a person can have set a URL with a password or a token in its query."""
    if name == "baseUrl":
        parts = urlsplit(value)
        value = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return (value[:_LONGEST] if value else "absent") or "absent"
