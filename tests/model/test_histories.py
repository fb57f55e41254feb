"""Histories that once ended wrong, and histories of undone requests."""

from typing import Any

from tests.model.in_process_aws import InProcessAws
from tests.model.world import GRACE, NO_TOKEN, Act, Between, Looked, World


def test_sweep_finds_the_grant_on_a_former_key_without_an_event(aws: InProcessAws) -> None:
    world = World(aws, mediatailorRetires="never")
    world.onboard("a", "s0")
    world.move("s0", "k1")
    world.update("a", "s0")
    world.rest()
    world.oracle.check()
    assert world.keys_of_grants("a") == ["k1"]


def test_another_grant_with_the_same_name_on_the_new_key_does_not_orphan_the_services_grant(aws: InProcessAws) -> None:
    world = World(aws, mediatailorRetires="never")
    world.onboard("a", "s0")
    world.move("s0", "k1")
    world.imitate("a", "s0", "k1")
    world.wait(1)
    world.rest()
    world.oracle.check()
    assert world.keys_of_grants("a") == ["k0", "k1"]


def test_another_grant_with_the_same_name_is_not_mistaken_for_the_grant_of_a_recreated_resource(aws: InProcessAws) -> None:
    world = World(aws, mediatailorRetires="never", recreatedGrant="same-id")
    world.onboard("a", "s0")
    world.imitate("a", "s0", "k0")
    world.wait(1)
    world.delete("a")
    looked = world.look("mediatailor/sourceLocation/a")
    assert looked is not None
    world.wait(GRACE)
    cleaned = world.clean_up(looked, (Between("RevokeGrant", Act("create", ("a", "s0"))),))
    world.oracle.check()
    assert cleaned is not None
    assert cleaned["restored"]
    assert world.oracle.windows == 1


def test_location_that_becomes_visible_between_the_last_read_and_the_revocation_came_back(aws: InProcessAws) -> None:
    """Only time passes in between: no call shows that the location uses the grant of the former one."""
    world = World(aws, mediatailorRetires="never", recreatedGrant="new-id")
    world.create("a", "s0")
    world.wait(1)
    world.delete("a")
    world.create("a", "s0", GRACE + 1)
    looked = world.look("mediatailor/sourceLocation/a", tuple(world.keys.values()))
    assert looked is not None
    world.wait(GRACE)
    world.clean_up(looked, (Between("RevokeGrant", Act("wait", (1,))),))
    world.oracle.check()
    assert (world.oracle.revoked, world.oracle.windows) == (1, 1)
    assert world.keys_of_grants("a") == ["k0"]  # its own


def test_grant_of_a_former_secret_is_revoked_even_without_a_grant_for_the_current_secret(aws: InProcessAws) -> None:
    world = World(aws, mediatailorRetires="never")
    world.create("a", "s2")
    world.onboard("a", "s1")
    world.move("s1", "k1")
    world.rest()
    world.oracle.check()
    assert world.keys_of_grants("a") == ["k0"]


def test_orphan_created_by_a_restored_grant_is_revoked_by_the_next_sweep(aws: InProcessAws) -> None:
    world = World(aws, mediatailorRetires="never")
    world.onboard("a-b", "s2")
    world.onboard("a", "s0")
    world.wait(1)
    world.delete("a")
    looked = world.look("mediatailor/sourceLocation/a")
    assert looked is not None
    world.wait(GRACE)
    back, crash = Act("create", ("a", "s0")), Act("crash")
    world.clean_up(looked, (Between("RevokeGrant", back), Between("RevokeGrant", crash, after=True)))
    world.move("s0", "k1")
    world.update("a", "s0")
    world.move("s0", "k0")
    assert world.keys_of_grants("a") == ["k1"]
    world.rest()
    world.oracle.check()
    assert world.keys_of_grants("a") == ["k0"]


def test_key_stays_recorded_until_kms_lists_its_newest_grant(aws: InProcessAws) -> None:
    world = World(aws, mediatailorRetires="never", grantLagSeconds=1)
    world.onboard("a", "s0")
    looked = world.look("mediatailor/sourceLocation/a")
    assert looked is not None
    world.onboard("a", "s2", (Between("UpdateSourceLocation", Act("crash"), after=True),))
    world.update("a", "s0")
    world.remove("k1")
    assert world.clean_up(looked) is not None
    world.keep("k1")
    assert world.keys_of_grants("a") == ["k0", "k1"]
    world.rest()
    world.oracle.check()
    assert world.keys_of_grants("a") == ["k0"]


def test_grants_of_undone_requests_are_removed(aws: InProcessAws) -> None:
    world = World(aws, mediatailorRetires="never", grantLagSeconds=1)
    world.onboard("a", "s0")
    world.onboard_in_vain("a", "s2")
    world.onboard_in_vain("a-b", "s2")
    assert (world.keys_of_grants("a"), world.keys_of_grants("a-b")) == (["k0", "k1"], ["k1"])
    world.rest()
    world.oracle.check()
    assert (world.keys_of_grants("a"), world.keys_of_grants("a-b")) == (["k0"], [])


def test_grant_reused_by_an_undo_is_kept(aws: InProcessAws) -> None:
    world, looked = _came_back(aws)
    back = Between("DescribeSourceLocation", Act("create", ("a", "s0")), after=True)
    undone = Between("RevokeGrant", Act("onboard_in_vain", ("a", "s2")))
    assert world.clean_up(looked, (back, undone)) is not None
    world.rest()
    world.oracle.check()
    assert world.keys_of_grants("a") == ["k0"]


def test_clean_up_repeats_until_its_restored_grant_is_listed(aws: InProcessAws) -> None:
    world, looked = _came_back(aws, grantLagSeconds=1)
    back, crash = Act("create", ("a", "s0")), Act("crash")
    assert world.clean_up(looked, (Between("RevokeGrant", back), Between("RevokeGrant", crash, after=True))) is None
    world.rest()
    world.oracle.check()
    assert world.keys_of_grants("a") == ["k0"]


def test_resource_that_stopped_sending_a_token_is_not_configured_again(aws: InProcessAws) -> None:
    world, looked = _came_back(aws)
    changes = Between("DescribeSecret", Act("update", ("a", NO_TOKEN)))
    assert world.clean_up(looked, (Between("RevokeGrant", Act("create", ("a", "s0"))), changes)) is None
    world.oracle.check()
    assert world.clean_up(looked) is not None
    world.rest()
    world.oracle.check()


def test_update_is_judged_by_the_read_before_it(aws: InProcessAws) -> None:
    world, looked = _came_back(aws)
    changes = Between("UpdateSourceLocation", Act("update", ("a", NO_TOKEN)))
    cleaned = world.clean_up(looked, (Between("RevokeGrant", Act("create", ("a", "s0"))), changes))
    assert cleaned is not None
    assert cleaned["restored"]
    world.oracle.check()
    assert world.keys_of_grants("a") == ["k0"]


def test_sweep_whose_list_of_resource_policies_fails_is_repeated(aws: InProcessAws) -> None:
    world = World(aws, mediatailorRetires="never")
    world.onboard("a", "s0")
    world.delete("a")
    failure = Act("fail", ("ThrottlingException", 400, 9, "before"))
    assert world.sweep((Between("ListResourcePolicies", failure),)) == []
    world.rest()
    world.oracle.check()
    assert world.keys_of_grants("a") == []


def _came_back(aws: InProcessAws, **assumptions: Any) -> tuple[World, Looked]:
    """Runs the first survey for a deleted location that gets its former grant id when it is recreated."""
    world = World(aws, mediatailorRetires="never", recreatedGrant="same-id", updateRetires=True, **assumptions)
    world.onboard("a", "s0")
    world.wait(1)
    world.delete("a")
    looked = world.look("mediatailor/sourceLocation/a")
    assert looked is not None
    world.wait(GRACE)
    return world, looked
