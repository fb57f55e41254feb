"""Rules for principals and partner accounts."""

from __future__ import annotations

import pytest

from latchkey.access.bounds import Bounds, bounds_problems
from latchkey.onboarding.rules.evidence import PrincipalEvidence, RequestEvidence
from latchkey.onboarding.rules.principals import partner_problems, principal_problems
from tests.unit.rules.samples import ADOBE, paths, rules
from tests.unit.samples import ACCOUNT, PARTNERS, SETTINGS, desired, detail, role

TRUSTING = Bounds(SETTINGS.model_copy(update={"trusted_principal_patterns": ("arn:aws:iam::*:role/media/*",)}))
PARTNERED = SETTINGS.model_copy(update={"allowed_partner_accounts": PARTNERS})
READER = role("media/Origin")
FOREIGN = READER.replace(ACCOUNT, PARTNERS[0])


@pytest.mark.parametrize("path", ["managementRoles", "secret.originReaders", "key.administrators", "key.users"])
def test_a_principal_that_the_stack_does_not_trust_is_rejected_wherever_it_is_named(path: str) -> None:
    request = desired({path: [role("Other")]})

    assert paths(bounds_problems(request, TRUSTING)) == [f"{path}.0"]
    assert paths(principal_problems(request, RequestEvidence(), TRUSTING)) == []


@pytest.mark.parametrize("found", [None, PrincipalEvidence(None), PrincipalEvidence(role("media/live/Origin"))])
def test_a_principal_must_exist_under_its_path(found: PrincipalEvidence | None) -> None:
    evidence = RequestEvidence(principals={READER: found} if found else {})

    assert paths(principal_problems(desired({"managementRoles": [READER]}), evidence, TRUSTING)) == ["managementRoles.0"]


def test_a_trusted_principal_that_exists_passes() -> None:
    evidence = RequestEvidence(principals={READER: PrincipalEvidence(READER)})

    assert paths(principal_problems(desired({"managementRoles": [READER]}), evidence, TRUSTING)) == []


def test_the_stack_parameters_alone_decide_about_principals_of_other_accounts() -> None:
    assert paths(principal_problems(desired({"managementRoles": [FOREIGN]}), RequestEvidence(), TRUSTING)) == []


def test_a_key_that_is_given_to_a_partner_has_only_users_of_this_account() -> None:
    request = desired({"key.users": [FOREIGN]}, ADOBE)

    assert paths(principal_problems(request, RequestEvidence(), TRUSTING)) == ["key.users.0"]


@pytest.mark.parametrize(("path", "problems"), [("key.users", ["key.users.0"]), ("key.administrators", [])])
def test_only_users_of_a_key_need_its_use_in_their_own_policies(path: str, problems: list[str]) -> None:
    evidence = RequestEvidence(principals={READER: PrincipalEvidence(READER, ("kms:Decrypt",))})

    assert paths(principal_problems(desired({path: [READER]}, ADOBE), evidence, TRUSTING)) == problems


def test_every_partner_account_must_be_allowed_by_the_stack() -> None:
    settings = PARTNERED.model_copy(update={"allowed_partner_accounts": PARTNERS[1:]})

    found = paths(bounds_problems(desired(kind=ADOBE), Bounds(settings)))

    assert found == ["resource.partnerStatements.0.Principal.AWS"]


def test_a_partner_of_another_partition_is_rejected() -> None:
    statement = detail(kind=ADOBE)["resource"]["partnerStatements"][0]
    chinese = statement | {"Principal": {"AWS": f"arn:aws-cn:iam::{PARTNERS[0]}:root"}}
    request = desired({"resource.partnerStatements": [chinese]}, ADOBE)

    assert paths(partner_problems(request, RequestEvidence(), PARTNERED)) == ["resource.partnerStatements.0.Principal.AWS"]


def test_no_request_takes_a_key_away_from_a_partner() -> None:
    both = desired(kind=ADOBE)
    one = desired({"resource.partnerStatements": detail(kind=ADOBE)["resource"]["partnerStatements"][:1]}, ADOBE)

    assert paths(partner_problems(one, RequestEvidence(recorded_request=both.request), PARTNERED)) == [
        "resource.partnerStatements"
    ]
    assert paths(partner_problems(both, RequestEvidence(recorded_request=one.request), PARTNERED)) == []


def test_a_rule_about_a_principal_names_it() -> None:
    evidence = RequestEvidence(
        principals={role("Gone"): PrincipalEvidence(None), role("Moved"): PrincipalEvidence(role("a/Moved"))}
    )
    request = desired({"secret.originReaders": [role("Gone"), role("Moved"), role("Stranger")]})
    bounds = Bounds(SETTINGS.model_copy(update={"trusted_principal_patterns": (role("Gone"), role("Moved"))}))

    gone, moved = rules(principal_problems(request, evidence, bounds))
    [stranger] = rules(bounds_problems(request, bounds))

    assert role("Gone") in gone[1]
    assert role("a/Moved") in moved[1]
    assert role("Stranger") in stranger[1]
