"""Which changes of the name prefixes of secrets are refused."""

import pytest

from latchkey.deployment.prefixes import MOST_LISTED, Prefixes, SecretUse, refusal

FORMER = Prefixes("latchkey/", "MediaPackage")


def use(
    secret_name: str, access_id: str = "mediapackage/originEndpoint/live", *, role: bool = True, created: bool = True
) -> SecretUse:
    return SecretUse(access_id, secret_name, through_role=role, is_created=created)


@pytest.mark.parametrize(
    ("wanted", "is_included"),
    [
        (FORMER, True),
        (Prefixes("latch", "Media"), True),
        (Prefixes("latchkey/", "Me"), True),
        # A role can read a secret with either prefix.
        (Prefixes("la", "la"), False),
        (Prefixes("latchkey/", "latchkey/"), False),
        (Prefixes("latchkey/sports/", "MediaPackage"), False),
        (Prefixes("latchkey/", "MediaPackageV2"), False),
        (Prefixes("MediaPackage", "latchkey/"), False),
        (Prefixes("Latchkey/", "MediaPackage"), False),
    ],
)
def test_prefixes_include_narrower_ones(wanted: Prefixes, is_included: bool) -> None:
    assert wanted.include(FORMER) is is_included


@pytest.mark.parametrize(
    ("wanted", "used"),
    [
        # The boundary of the reader roles.
        (Prefixes("latchkey/", "other/"), use("MediaPackage/live", created=False)),
        (Prefixes("other/", "MediaPackage"), use("latchkey/shared", created=False)),
        (Prefixes("latchkey/sports/", "MediaPackage"), use("latchkey/news/token")),
        # The roles of the functions, which change the policy of a secret that Latchkey created.
        (Prefixes("other/", "MediaPackage"), use("latchkey/mediatailor/live/token", role=False)),
        (Prefixes("other/", "latchkey/"), use("latchkey/mediapackage/live/token")),
    ],
)
def test_a_change_that_excludes_a_secret_in_use_is_refused(wanted: Prefixes, used: SecretUse) -> None:
    reason = refusal(FORMER, wanted, [used])

    assert reason is not None
    assert used.secret_name in reason
    assert used.access_id in reason


@pytest.mark.parametrize(
    ("wanted", "used"),
    [
        (Prefixes("other/", "MediaPackage"), use("MediaPackage/live", created=False)),
        (Prefixes("latchkey/", "other/"), use("latchkey/mediapackage/live/token")),
        (Prefixes("latchkey/sports/", "MediaPackage"), use("latchkey/sports/token")),
        (Prefixes("other/", "latchkey/"), use("latchkey/shared", created=False)),
        # A resource policy allows the service to read, whatever the name is.
        (Prefixes("other/", "another/"), use("theirs/token", role=False, created=False)),
        (Prefixes("other/", "another/"), use("latchkey/theirs", role=False, created=False)),
        # Not covered before either.
        (Prefixes("other/", "another/"), use("theirs/token", created=False)),
    ],
)
def test_a_change_that_takes_nothing_from_an_access_is_accepted(wanted: Prefixes, used: SecretUse) -> None:
    assert refusal(FORMER, wanted, [used]) is None


def test_a_change_is_accepted_if_no_access_exists() -> None:
    assert refusal(FORMER, Prefixes("other/", "another/"), []) is None


def test_a_refusal_lists_a_few_accesses_in_order_and_counts_the_others() -> None:
    uses = [use(f"latchkey/{number}", f"mediapackage/originEndpoint/{number}") for number in (5, 3, 1, 2, 4, 1)]

    reason = refusal(FORMER, Prefixes("other/", "another/"), uses)

    assert reason is not None
    assert [number for number in range(1, 6) if f"originEndpoint/{number}" in reason] == [1, 2, 3][:MOST_LISTED]
    assert "2 more" in reason
