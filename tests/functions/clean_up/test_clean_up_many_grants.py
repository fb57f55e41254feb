"""More than a thousand grants that bear the owner's name do not keep the orphaned one alive."""

import json
from typing import Any

from latchkey.cleanup.clean_up_grants import MOST_GRANTS
from tests.functions.account import ACCOUNT, Account
from tests.functions.clean_up_steps import CleanUpRun, SurveyRun, delete_location, grants
from tests.functions.onboarding_requests import NAME
from tests.functions.onboarding_steps import Onboarding

LIMIT = 256 * 1024


def _add(account: Account, access: Onboarding, number: int, grantee: str) -> None:
    context: Any = {"EncryptionContextSubset": {"SecretARN": access.secret}}
    for at in range(number):
        account.kms.create_grant(
            KeyId=access.key,
            Name=f"MediaTailor-SourceLocation-{ACCOUNT}-{NAME}",
            GranteePrincipal=grantee.format(at),
            Operations=["Decrypt"],
            Constraints=context,
        )


def test_grants_of_others_with_the_name_do_not_keep_an_orphaned_grant(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    [own] = grants(account, access.key)
    _add(account, access, 1100, f"arn:aws:iam::{ACCOUNT}:role/attacker-{{}}")
    delete_location(account)

    first = survey()
    cleaned = clean_up(first)

    assert max(len(json.dumps(first)), len(json.dumps(cleaned))) < LIMIT
    assert first["more"] == 0
    assert [removed["grantId"] for removed in cleaned["removed"]] == [own]
    assert own not in grants(account, access.key)


def test_more_orphaned_grants_than_one_survey_hands_on_are_revoked_in_rounds(
    account: Account, access: Onboarding, survey: SurveyRun, clean_up: CleanUpRun
) -> None:
    _add(account, access, MOST_GRANTS + 10, "mediatailor.amazonaws.com")
    number = len(grants(account, access.key))
    delete_location(account)

    left = []
    while survey()["more"]:
        clean_up(survey())
        left.append(len(grants(account, access.key)))
    clean_up(survey())

    assert left == [number - MOST_GRANTS]
    assert grants(account, access.key) == []
