"""All rules of a request together."""

from __future__ import annotations

from latchkey.onboarding.rules.evidence import PrincipalEvidence, RequestEvidence, ResourceEvidence, SourceEvidence
from latchkey.onboarding.rules.request_rules import request_problems
from tests.unit.rules.samples import ADOBE, configured, key, key_evidence, paths, secret, secret_evidence
from tests.unit.samples import BOUNDS, EXISTING_ARN, ROLES, desired, role

READER = role("Origin")


def test_a_valid_request_breaks_no_rule() -> None:
    assert paths(request_problems(desired(), RequestEvidence(), BOUNDS, ROLES)) == []


def test_the_problems_of_every_subject_are_reported_together() -> None:
    changes = {"managementRoles": [READER], "secret.value.copyFrom": {"secretArn": EXISTING_ARN}}
    request = desired(changes | {"resource.baseUrl": "http://origin.example.com/vod"})
    evidence = RequestEvidence(
        principals={READER: PrincipalEvidence(READER)},
        key=key_evidence(key({})),
        secret=secret_evidence(secret({})),
        source=SourceEvidence(region_exists=True),
        resource=ResourceEvidence(configured(request)),
    )

    found = paths(request_problems(request, evidence, BOUNDS, ROLES))

    expected = ["key.alias", "managementRoles.0", "secret.name", "secret.value.copyFrom.secretArn"]
    assert [path for path in found if path != "resource.baseUrl"] == expected
    assert found.count("resource.baseUrl") == 2, "plain HTTP, and a host that is not known"


def test_partner_accounts_are_among_the_rules() -> None:
    found = paths(request_problems(desired(kind=ADOBE), RequestEvidence(), BOUNDS, ROLES))

    assert found == ["resource.partnerStatements.0.Principal.AWS", "resource.partnerStatements.1.Principal.AWS"]
