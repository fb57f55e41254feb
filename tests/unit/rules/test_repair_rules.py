"""Rules for repairs: what an access had is given back, and nothing that was lost is replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from latchkey import policies
from latchkey.access.desired import Desired, desire
from latchkey.access.findings import FindingKind, finding
from latchkey.access.remedy import repair_request
from latchkey.aws.roles import ObservedRole
from latchkey.events.findings import Repair
from latchkey.onboarding.rules.evidence import RequestEvidence, ResourceEvidence, RoleEvidence
from latchkey.onboarding.rules.repair import leaves_resource, repair_problems, without_known
from latchkey.requests.parsing import parse_onboarding
from latchkey.tags import DEFAULT_TENANT
from tests.unit.rules.samples import OTHER_KEY_ARN, configured, key, key_evidence, paths, record, secret, secret_evidence
from tests.unit.samples import SECRET_ARN, SETTINGS, detail

RECORDED = record()
REQUEST = parse_onboarding(detail())
REPAIR: Desired = desire(repair_request(REQUEST, "repair-1"), SETTINGS, DEFAULT_TENANT)
USING = ResourceEvidence(configured(REPAIR, SECRET_ARN))


def evidence(**members: Any) -> RequestEvidence:
    known: dict[str, Any] = {
        "record": RECORDED,
        "recorded_request": REQUEST,
        "key": key_evidence(),
        "secret": secret_evidence(),
    }
    return RequestEvidence(**known | {"resource": USING} | members)


@pytest.mark.parametrize("state", ["active", "revoked", "handed-off"])
def test_an_access_that_has_all_its_parts_can_be_repaired(state: Any) -> None:
    assert paths(repair_problems(REPAIR, evidence(), state)) == []


@pytest.mark.parametrize("state", [None, "unmanaged", "detached", "gone", "offboarded", "offboarding", "rotating", "moving"])
def test_an_access_in_any_other_state_is_not_repaired(state: Any) -> None:
    assert paths(repair_problems(REPAIR, evidence(), state)) == ["resource"]


@pytest.mark.parametrize(
    ("members", "broken"),
    [
        ({"record": None}, ["resource"]),
        ({"recorded_request": parse_onboarding(detail({"tags": {"team": "news"}}))}, ["resource"]),
        ({"pending": RECORDED}, ["resource"]),
        ({"key": key_evidence(key(arn=OTHER_KEY_ARN))}, ["key"]),
        ({"key": replace(key_evidence(), key=None)}, ["key"]),
        ({"key": replace(key_evidence(), hidden=True)}, ["key"]),
        ({"secret": None}, ["secret"]),
        ({"secret": secret_evidence(secret(arn=f"{SECRET_ARN}-other"))}, ["secret"]),
        ({"resource": ResourceEvidence(None)}, ["resource"]),
        ({"resource": None}, ["resource"]),
        ({"resource": ResourceEvidence(configured(REPAIR))}, ["resource"]),
        ({"resource": ResourceEvidence(configured(REPAIR, f"{SECRET_ARN}-other"))}, ["resource"]),
    ],
)
def test_what_an_access_has_lost_is_not_replaced(members: Mapping[str, Any], broken: list[str]) -> None:
    assert paths(repair_problems(REPAIR, evidence(**members), "active")) == broken


def test_the_resource_of_an_access_that_is_handed_off_can_be_unconfigured() -> None:
    handed_off = replace(RECORDED, reached="handed-off", status="handed-off")

    assert paths(repair_problems(REPAIR, evidence(record=handed_off, resource=None), "handed-off")) == []


def test_the_key_of_a_partner_is_not_repaired() -> None:
    request = parse_onboarding(detail(kind="adobe-experience-platform"))
    desired = desire(repair_request(request, "repair-1"), SETTINGS, DEFAULT_TENANT)
    found = RequestEvidence(record=replace(RECORDED, secret_arn=None), recorded_request=request, key=key_evidence())

    assert paths(repair_problems(desired, found, "active")) == ["key"]


ROLE = ObservedRole("arn", datetime(2026, 11, 22, tzinfo=UTC), {}, None, None, ("Theirs",), {})
OFF = finding(FindingKind.KEY_ROTATION_OFF, "off")
OPEN = finding(FindingKind.RESOURCE_OPEN, "Theirs")
PUBLIC = {"Sid": "Theirs", "Effect": "Allow", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}


def repair(*remaining: FindingKind) -> Repair:
    return Repair(findings=(OFF,), remaining=tuple(finding(kind, "known") for kind in remaining), reconciliation="run-1")


def test_a_foreign_policy_of_the_role_is_left_out_only_if_it_was_known() -> None:
    found = evidence(role=RoleEvidence(ROLE, referred=True))

    known = without_known(REPAIR, found, repair(FindingKind.ROLE_FOREIGN_POLICY))

    assert known.role
    assert known.role.role.others == ()
    assert without_known(REPAIR, found, repair()) == found
    assert without_known(REPAIR, evidence(), repair(FindingKind.ROLE_FOREIGN_POLICY)) == evidence()


@pytest.mark.parametrize(("own", "is_left_out"), [(REPAIR.secret_statements(SECRET_ARN), True), ((), False)])
def test_a_public_policy_is_left_out_only_if_it_does_not_change(own: Any, is_left_out: bool) -> None:
    document = policies.new_document([*own, PUBLIC])
    found = evidence(secret=replace(secret_evidence(), policy=document))

    known = without_known(REPAIR, found, repair(FindingKind.SECRET_POLICY_PUBLIC))

    assert known.secret
    assert (PUBLIC not in policies.statements_of(known.secret.policy or {})) is is_left_out
    assert without_known(REPAIR, found, repair()) == found


def test_an_open_resource_is_written_only_for_a_finding_about_it() -> None:
    header = finding(FindingKind.RESOURCE_OTHER_HEADER, "other")

    assert leaves_resource(repair(FindingKind.RESOURCE_OPEN))
    assert not leaves_resource(repair())
    assert not leaves_resource(Repair(findings=(OFF, header), remaining=(OPEN,), reconciliation="run-1"))
