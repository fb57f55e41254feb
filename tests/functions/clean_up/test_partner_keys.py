"""clean_up_grants: the key of a partner and its grants are never changed."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from latchkey.aws import clients
from latchkey.cleanup.verdict import Reason
from latchkey.registry import registry
from latchkey.registry.revocations import Revocation
from tests.functions.account import Account
from tests.functions.clean_up_steps import GRANT, CleanUpRun, SurveyRun, delete_location, grants
from tests.functions.onboarding_requests import PARTNER, Run
from tests.functions.onboarding_steps import Onboarding

PARTNERS = "adobe-experience-platform/instance/us-east-1"


@pytest.fixture
def partners(run: Run, account: Account, access: Onboarding, stack: Callable[..., None]) -> Onboarding:
    """An Adobe access whose key has a grant that resembles an orphaned grant of a source location."""
    stack(GRACE_SECONDS="0", ALLOWED_PARTNER_ACCOUNTS=PARTNER)
    made = Onboarding(run, account, requestId="request-2", system="adobe-experience-platform").run_through("record_access")
    account.grant(made.key, GRANT, access.secret)
    delete_location(account)
    return made


def calls() -> list[str]:
    """The KMS calls from now on."""
    called: list[str] = []
    clients.kms().meta.events.register("before-call.kms", lambda model, **_: called.append(model.name))
    return called


def test_a_partner_key_that_is_named_is_not_surveyed(access: Onboarding, partners: Onboarding, survey: SurveyRun) -> None:
    first = survey(partners.key, access.key)

    assert {grant["keyArn"] for grant in first["grants"]} == {access.key}


def test_both_surveys_keep_the_grant_of_the_partner(
    account: Account, access: Onboarding, partners: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    before = account.snapshot()["keys"][partners.key]

    cleaned = [clean_up(first) for first in (survey(partners.key), survey(partners.key))]

    assert [len(one["removed"]) for one in cleaned] == [1, 0]
    assert grants(account, access.key) == []
    assert account.snapshot()["keys"][partners.key] == before


@pytest.mark.parametrize("when", ["before the second look", "after it was noted"])
def test_a_grant_on_a_key_that_was_given_to_a_partner_is_kept(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun, when: str
) -> None:
    [grant] = grants(account, access.key)
    delete_location(account)
    first = survey()
    if when == "after it was noted":
        note(first)
    registry().resources.refer(access.key, PARTNERS)

    cleaned = clean_up(first)

    assert cleaned["removed"] == []
    assert [(kept["grantId"], kept["reason"]) for kept in cleaned["kept"]] == [(grant, Reason.PARTNER_KEY.text())]
    assert grants(account, access.key) == [grant]
    assert clean_up(first) == cleaned


def note(first: dict[str, Any]) -> None:
    """Records a revocation as a crashed attempt would have."""
    [found] = first["grants"]
    noted = Revocation(first["accessId"], found["grantId"], found["keyArn"], found["reason"])
    registry().revocations.note(noted, first["lookId"], datetime.fromisoformat(first["at"]))


def test_a_partner_access_has_no_grants_of_latchkey(run: Run, account: Account, partners: Onboarding) -> None:
    before, called = account.snapshot(), calls()

    first = run("clean_up_grants", {"accessId": PARTNERS, "keys": [partners.key]})

    assert (first["grants"], first["orphaned"], first["deprived"], first["settled"]) == ([], False, False, [])
    assert called == []
    assert account.snapshot() == before
