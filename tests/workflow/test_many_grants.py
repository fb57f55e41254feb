"""A thousand grants that bear the owner's name do not keep an orphaned grant alive."""

from typing import Any

from local_aws.emulator.account import ACCOUNT
from tests.workflow.clean_ups import CleanUps
from tests.workflow.onboarding import Onboarding


def test_an_orphaned_grant_among_a_thousand_of_its_name_is_revoked(onboarding: Onboarding, assume: Any) -> None:
    assume(trail={"lose": 1}, mediatailorRetires="never")
    clean_ups = CleanUps(onboarding)
    [access] = clean_ups.new_accesses(1)
    constraint: Any = {"EncryptionContextSubset": {"SecretARN": access.secret}}
    for number in range(1000):
        clean_ups.kms.create_grant(
            KeyId=access.key,
            Name=access.grant_name,
            GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:role/r{number}",
            Operations=["Decrypt"],
            Constraints=constraint,
        )
    clean_ups.delete_location(access)

    [events] = clean_ups.run(access)

    assert [grant["grantId"] for grant in events["Grants Cleaned Up"]["removed"]] == [access.grant]
    assert access.grant not in clean_ups.grants(access)
    assert len(clean_ups.grants(access)) == 1000
