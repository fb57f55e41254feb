"""What is wrong with the grants of one resource on one key. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from latchkey.access.findings.finding import finding
from latchkey.access.grants import ExpectedGrant, grantee_region, is_service_grant, serves
from latchkey.aws.grants import Grant
from latchkey.events.findings import Finding, FindingKind

# What MediaTailor documents, and what KMS adds to the grant of a service that only decrypts:
# https://docs.aws.amazon.com/mediatailor/latest/ug/channel-assembly-access-configuration-overview.html
_OPERATIONS = frozenset(["Decrypt", "DescribeKey", "RetireGrant"])
_MOST_LISTED = 5


def grant_findings(expected: ExpectedGrant, grants: Collection[Grant], key_arn: str) -> Iterator[Finding]:
    """Findings about the grants with the name of this resource on a key. Whether one is missing is another question.

    Anybody with kms:CreateGrant can add grants with the name, so each kind is one finding with the first ones as evidence.
    """
    named = sorted(
        (one for one in grants if one.name == expected.name and one.key_arn == key_arn), key=lambda one: one.grant_id
    )
    unknown = [one for one in named if not _is_of_service(one, expected)]
    ours = [one for one in named if _is_of_service(one, expected)]
    serving = [one for one in ours if serves(one, expected)]
    stale = [one for one in ours if one not in serving]
    wider = [one for one in named if one.operations - _OPERATIONS]
    if unknown:
        named_principals = sorted({str(one.grantee) for one in unknown})[:_MOST_LISTED]
        yield finding(FindingKind.GRANT_UNKNOWN_PRINCIPAL, f"{_listed(unknown)}: given to {', '.join(named_principals)}")
    if stale:
        constraints = sorted({str(one.secret_arn or one.source_arn) for one in stale})[:_MOST_LISTED]
        wanted = f"instead of {expected.secret_arn}"
        yield finding(FindingKind.GRANT_STALE, f"{_listed(stale)}: constrained to {', '.join(constraints)} {wanted}")
    if len(serving) > 1:
        yield finding(FindingKind.GRANT_DUPLICATE, f"{len(serving)} grants for {expected.secret_arn}: {_listed(serving)}")
    if wider:
        more = sorted({operation for one in wider for operation in one.operations - _OPERATIONS})
        yield finding(FindingKind.GRANT_WIDER_OPERATIONS, f"{_listed(wider)}: also {', '.join(more)}")


def _is_of_service(grant: Grant, expected: ExpectedGrant) -> bool:
    """Whether the grantee can be the service. A grant without a grantee counts: KMS does not always show it."""
    is_here = grantee_region(grant) in (None, expected.resource_arn.split(":")[3])
    return is_here and (grant.grantee is None or is_service_grant(grant, expected.grantees))


def _listed(grants: Sequence[Grant]) -> str:
    more = f" and {len(grants) - _MOST_LISTED} more" if len(grants) > _MOST_LISTED else ""
    return f"{grants[0].name} on {grants[0].key_arn}: {', '.join(one.grant_id for one in grants[:_MOST_LISTED])}{more}"
