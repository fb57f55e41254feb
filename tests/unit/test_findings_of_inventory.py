"""What a complete inventory finds that no read of one access does. What was not read leads to no finding."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from latchkey.access.findings import FindingKind, InventoriedAccess, Inventory, findings_of_inventory
from latchkey.access.record import AccessRecord
from latchkey.aws.grants import Grant
from tests.unit.samples import KEY_ARN, PLACE, SECRET_ARN, desired

ACCESS = "mediatailor/sourceLocation/sports-origin"
LOCATION_ARN = PLACE.arn("mediatailor", "sourceLocation/sports-origin")
RECORD = AccessRecord(ACCESS, "mediatailor", "active", "request-1", KEY_ARN, SECRET_ARN, LOCATION_ARN)
OURS = {"latchkey:managed-by": "latchkey", "latchkey:stack": "latchkey"}
GRANT_NAME = f"MediaTailor-SourceLocation-{PLACE.account}-sports-origin"
GRANT = Grant(
    grant_id="g-1",
    key_arn=KEY_ARN,
    name=GRANT_NAME,
    grantee="mediatailor.amazonaws.com",
    operations=frozenset({"Decrypt", "RetireGrant"}),
    secret_arn=SECRET_ARN,
    source_arn=None,
    created=datetime(2026, 11, 22, tzinfo=UTC),
)
WHOLE = Inventory(
    place=PLACE,
    stack="latchkey",
    accesses=(InventoriedAccess(desired(), RECORD),),
    tags={KEY_ARN: OURS, SECRET_ARN: OURS},
    grants={KEY_ARN: (GRANT,)},
    resources={"mediatailor": {"sports-origin": SECRET_ARN}},
)


def found(inventory: Inventory) -> dict[str, list[FindingKind]]:
    return {subject: [one.kind for one in findings] for subject, findings in findings_of_inventory(inventory).items()}


def with_grants(*grants: Grant) -> Inventory:
    return replace(WHOLE, grants={KEY_ARN: grants})


def test_an_untouched_access_has_no_finding() -> None:
    assert found(WHOLE) == {}


def test_nothing_is_concluded_about_what_was_not_read() -> None:
    assert found(replace(WHOLE, tags={}, grants={}, resources={})) == {}


def test_a_resource_with_our_tag_that_no_record_names_is_found() -> None:
    key, secret, theirs = KEY_ARN[:-1] + "f", f"{SECRET_ARN[:-7]}2-AbCdEf", KEY_ARN[:-1] + "e"
    other_stack = OURS | {"latchkey:stack": "another"}
    inventory = replace(WHOLE, tags={**WHOLE.tags, key: OURS, secret: OURS, theirs: other_stack})

    assert found(inventory) == {key: [FindingKind.RESOURCE_UNRECORDED], secret: [FindingKind.RESOURCE_UNRECORDED]}
    known = frozenset([key, "secret latchkey/mediatailor/sports-origin/token2"])
    assert found(replace(inventory, known=known)) == {}


@pytest.mark.parametrize("arn", [KEY_ARN, SECRET_ARN])
def test_a_recorded_resource_without_tag_and_consent_is_found(arn: str) -> None:
    assert found(replace(WHOLE, tags={**WHOLE.tags, arn: {"team": "sports"}})) == {ACCESS: [FindingKind.RECORDED_UNTAGGED]}
    assert found(replace(WHOLE, tags={**WHOLE.tags, arn: {"latchkey:consent": "adopt"}})) == {}


def test_a_record_of_which_nothing_exists_is_found_once() -> None:
    arns = frozenset([KEY_ARN, SECRET_ARN, LOCATION_ARN])

    assert found(replace(WHOLE, absent=arns)) == {ACCESS: [FindingKind.RECORD_WITHOUT_RESOURCE]}
    assert found(replace(WHOLE, absent=arns - {KEY_ARN})) == {}


def test_the_role_of_an_access_is_one_of_its_resources() -> None:
    kind, secret = "mediapackage", PLACE.arn("secretsmanager", "secret:latchkey/mediapackage/sports-hls/token-AbCdEf")
    record = AccessRecord("mediapackage/originEndpoint/sports-hls", kind, "active", "request-1", KEY_ARN, secret, None)
    access = InventoriedAccess(desired(kind=kind), record)
    [role] = [arn for arn in access.arns if ":role/" in arn]

    assert found(replace(WHOLE, accesses=(access,), tags={role: {}}, grants={})) == {
        record.access_id: [FindingKind.RECORDED_UNTAGGED]
    }


OTHER = f"{SECRET_ARN[:-6]}XyZxYz"


@pytest.mark.parametrize(
    ("grants", "kind", "evidence"),
    [
        ((GRANT, replace(GRANT, grant_id="g-2", secret_arn=OTHER)), FindingKind.GRANT_STALE, OTHER),
        ((GRANT, replace(GRANT, grant_id="g-2")), FindingKind.GRANT_DUPLICATE, "g-1, g-2"),
        ((replace(GRANT, operations=GRANT.operations | {"Encrypt"}),), FindingKind.GRANT_WIDER_OPERATIONS, "Encrypt"),
        (
            (GRANT, replace(GRANT, grant_id="g-2", grantee="arn:aws:iam::999988887777:role/Them")),
            FindingKind.GRANT_UNKNOWN_PRINCIPAL,
            "arn:aws:iam::999988887777:role/Them",
        ),
        (
            (GRANT, replace(GRANT, grant_id="g-2", grantee="mediatailor.us-east-1.amazonaws.com")),
            FindingKind.GRANT_UNKNOWN_PRINCIPAL,
            "mediatailor.us-east-1.amazonaws.com",
        ),
    ],
)
def test_a_grant_that_is_not_the_one_of_the_resource_is_found(
    grants: tuple[Grant, ...], kind: FindingKind, evidence: str
) -> None:
    [one] = findings_of_inventory(with_grants(*grants))[ACCESS]

    assert one.kind == kind
    assert evidence in one.evidence


def test_many_grants_with_the_name_are_one_finding() -> None:
    many = [replace(GRANT, grant_id=f"g-{number:03}", secret_arn=OTHER) for number in range(300)]

    [one] = findings_of_inventory(with_grants(GRANT, *many))[ACCESS]

    assert one.evidence.startswith(f"{GRANT_NAME} on {KEY_ARN}: g-000, g-001, g-002, g-003, g-004 and 295 more: ")


def test_grants_are_not_judged_before_the_owner_has_configured_the_resource() -> None:
    handed_off = InventoriedAccess(desired(), replace(RECORD, status="handed-off", reached="handed-off"))

    assert found(replace(with_grants(GRANT, replace(GRANT, grant_id="g-2")), accesses=(handed_off,))) == {}


def test_a_grant_for_a_location_that_does_not_exist_and_is_not_recorded_is_found() -> None:
    gone = replace(GRANT, grant_id="g-2", name=f"{GRANT_NAME}-2")

    assert found(with_grants(GRANT, gone)) == {KEY_ARN: [FindingKind.GRANT_STALE]}
    by_hand = {"mediatailor": {"sports-origin": SECRET_ARN, "sports-origin-2": SECRET_ARN}}
    assert found(replace(with_grants(GRANT, gone), resources=by_hand)) == {}
    assert found(replace(with_grants(GRANT, gone), resources={})) == {}
