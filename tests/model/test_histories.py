"""Histories that the model found, and that ended wrong once; and those of requests that are undone."""

from typing import Any

from tests.model.wire import Wire
from tests.model.world import GRACE, NO_TOKEN, Act, Between, Looked, World


def test_a_sweep_finds_the_grant_left_on_a_former_key_though_nobody_told_it_of_the_new_one(wire: Wire) -> None:
    world = World(wire, mediatailorRetires="never")
    world.onboard("a", "s0")
    world.move("s0", "k1")
    world.update("a", "s0")
    world.rest()
    world.oracle.check()
    assert world.keys_of_grants("a") == ["k1"]


def test_a_persons_grant_of_the_same_name_on_the_new_key_does_not_make_the_services_own_an_orphan(wire: Wire) -> None:
    world = World(wire, mediatailorRetires="never")
    world.onboard("a", "s0")
    world.move("s0", "k1")
    world.imitate("a", "s0", "k1")
    world.wait(1)
    world.rest()
    world.oracle.check()
    assert world.keys_of_grants("a") == ["k0", "k1"]


def test_a_persons_grant_of_the_same_name_is_not_taken_for_that_of_an_owner_who_came_back(wire: Wire) -> None:
    world = World(wire, mediatailorRetires="never", recreatedGrant="same-id")
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


def test_the_grant_of_a_former_secret_goes_without_one_for_the_present_secret(wire: Wire) -> None:
    world = World(wire, mediatailorRetires="never")
    world.create("a", "s2")
    world.onboard("a", "s1")
    world.move("s1", "k1")
    world.rest()
    world.oracle.check()
    assert world.keys_of_grants("a") == ["k0"]


def test_what_a_grant_that_is_given_back_makes_an_orphan_goes_with_the_next_sweep(wire: Wire) -> None:
    world = World(wire, mediatailorRetires="never")
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


def test_a_key_is_not_forgotten_while_kms_may_not_list_its_newest_grant(wire: Wire) -> None:
    world = World(wire, mediatailorRetires="never", grantLagSeconds=1)
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


def test_the_grants_of_requests_that_are_undone_go(wire: Wire) -> None:
    world = World(wire, mediatailorRetires="never", grantLagSeconds=1)
    world.onboard("a", "s0")
    world.onboard_in_vain("a", "s2")
    world.onboard_in_vain("a-b", "s2")
    assert (world.keys_of_grants("a"), world.keys_of_grants("a-b")) == (["k0", "k1"], ["k1"])
    world.rest()
    world.oracle.check()
    assert (world.keys_of_grants("a"), world.keys_of_grants("a-b")) == (["k0"], [])


def test_a_grant_that_an_undo_uses_again_stays(wire: Wire) -> None:
    world, looked = _came_back(wire)
    back = Between("DescribeSourceLocation", Act("create", ("a", "s0")), after=True)
    undone = Between("RevokeGrant", Act("onboard_in_vain", ("a", "s2")))
    assert world.clean_up(looked, (back, undone)) is not None
    world.rest()
    world.oracle.check()
    assert world.keys_of_grants("a") == ["k0"]


def test_a_clean_up_asks_again_until_the_grant_that_it_gives_back_is_listed(wire: Wire) -> None:
    world, looked = _came_back(wire, grantLagSeconds=1)
    back, crash = Act("create", ("a", "s0")), Act("crash")
    assert world.clean_up(looked, (Between("RevokeGrant", back), Between("RevokeGrant", crash, after=True))) is None
    world.rest()
    world.oracle.check()
    assert world.keys_of_grants("a") == ["k0"]


def test_an_owner_that_sends_no_token_any_more_is_not_set_again(wire: Wire) -> None:
    world, looked = _came_back(wire)
    changes = Between("DescribeSecret", Act("update", ("a", NO_TOKEN)))
    assert world.clean_up(looked, (Between("RevokeGrant", Act("create", ("a", "s0"))), changes)) is None
    world.oracle.check()
    assert world.clean_up(looked) is not None
    world.rest()
    world.oracle.check()


def test_a_setting_is_judged_by_what_was_read_before_it(wire: Wire) -> None:
    world, looked = _came_back(wire)
    changes = Between("UpdateSourceLocation", Act("update", ("a", NO_TOKEN)))
    cleaned = world.clean_up(looked, (Between("RevokeGrant", Act("create", ("a", "s0"))), changes))
    assert cleaned is not None
    assert cleaned["restored"]
    world.oracle.check()
    assert world.keys_of_grants("a") == ["k0"]


def _came_back(wire: Wire, **assumptions: Any) -> tuple[World, Looked]:
    """A first look at a location that is deleted, and that gets the id of its former grant if it comes back."""
    world = World(wire, mediatailorRetires="never", recreatedGrant="same-id", updateRetires=True, **assumptions)
    world.onboard("a", "s0")
    world.wait(1)
    world.delete("a")
    looked = world.look("mediatailor/sourceLocation/a")
    assert looked is not None
    world.wait(GRACE)
    return world, looked
