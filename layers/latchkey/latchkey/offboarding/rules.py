"""The rules of an offboarding. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from latchkey.access.desired import Desired
from latchkey.access.former_settings import FormerSettings
from latchkey.aws.keys import ObservedKey
from latchkey.aws.secrets import ObservedSecret
from latchkey.errors import Problem
from latchkey.offboarding.resource_change import change_of
from latchkey.requests.lifecycle import OffboardingRequested
from latchkey.systems.system import Configured, CreatingConfiguration
from latchkey.tags import CONSENT, is_ours_or_consented


@dataclass(frozen=True)
class OffboardingEvidence:
    """The evidence to which the rules are applied.

    `keys` and `secrets` are those that exist, of the record and of an unconfirmed hand-off. `present` is None if the resource
    does not exist. `created` means that Latchkey created it for this access. `owner_arn` and `owner_tags` belong to the
    resource, or to the one that contains it. `contents` are read only for a resource that is to be deleted. `deletes` are the
    ARNs of the secrets that Latchkey created and no other access uses.
    """

    keys: tuple[ObservedKey, ...] = ()
    secrets: tuple[ObservedSecret, ...] = ()
    present: Configured | None = None
    created: bool = False
    owner_arn: str = ""
    owner_tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    former: FormerSettings | None = None
    contents: tuple[str, ...] = ()
    deletes: frozenset[str] = frozenset()


def partner_problems(desired: Desired) -> Iterator[Problem]:
    """An access whose key a partner uses cannot be offboarded: the partner's data depends on the key."""
    if desired.system.key_is_exclusive:
        yield Problem(
            "accessId",
            "cannot be offboarded, because the partner's data is unreadable without the key: follow the partner's procedure "
            "to stop using the key, and then remove the statements of the partner from the key policy by hand",
        )


def offboarding_problems(desired: Desired, asked: OffboardingRequested, evidence: OffboardingEvidence) -> Iterator[Problem]:
    """Every rule that an offboarding breaks."""
    yield from _choice_problems(desired, asked, evidence)
    yield from _consent_problems(desired, asked, evidence)
    for secret in evidence.secrets:
        if secret.arn in evidence.deletes and secret.primary_region is not None:
            rule = f"cannot be offboarded, because {secret.arn} has replicas: remove the replicas first"
            yield Problem("accessId", rule)


def _choice_problems(desired: Desired, asked: OffboardingRequested, evidence: OffboardingEvidence) -> Iterator[Problem]:
    """Rules for the choice that the request makes for the resource."""
    if desired.hands_off and asked.resource in ("detach", "delete"):
        rule = "must be leave, because the owner of the resource configures it: remove the secret from its settings yourself"
        yield Problem("resource", rule)
        return
    if asked.resource != "delete" or evidence.present is None:
        return
    arn = evidence.present.arn
    if not isinstance(desired.system.configuration, CreatingConfiguration) or not evidence.created:
        rule = (
            f"must not be delete, because Latchkey did not create {arn}: use restore, detach or leave, and delete it yourself"
        )
        yield Problem("resource", rule)
    elif evidence.contents:
        listed = ", ".join(evidence.contents[:10]) + (" and more" if len(evidence.contents) > 10 else "")
        yield Problem("resource", f"must not be delete, because {arn} contains {listed}: delete these first, or use detach")


def _consent_problems(desired: Desired, asked: OffboardingRequested, evidence: OffboardingEvidence) -> Iterator[Problem]:
    """Latchkey changes only what it created and what an owner has approved by tag."""
    change = change_of(desired, asked.resource, evidence.present, evidence.former, created=evidence.created)
    if change.updates and not evidence.created and evidence.owner_tags.get(CONSENT) != "adopt":
        yield Problem("resource", f"{_not_approved(evidence.owner_arn)}, or set resource to leave")
    if change.updates and evidence.present is not None and desired.system.configuration is not None:
        yield from (Problem("resource", rule) for rule in desired.system.configuration.refused_updates(evidence.present))
    for path, found in (("key", evidence.keys), ("secret", evidence.secrets)):
        for one in found:
            if not is_ours_or_consented(one.tags, desired.stack):
                rule = f"{_not_approved(one.arn)}, so that its statements can be removed"
                yield Problem(path, rule)


def _not_approved(arn: str) -> str:
    return f"not approved for use by Latchkey: add the tag {CONSENT}=adopt to {arn}"
