"""Histories that the model found, and that ended wrong once."""

from tests.model.wire import Wire
from tests.model.world import World


def test_a_sweep_finds_the_grant_left_on_a_former_key_though_nobody_told_it_of_the_new_one(wire: Wire) -> None:
    world = World(wire, mediatailorRetires="never")
    world.onboard("a", "s0")
    world.move("s0", "k1")
    world.update("a", "s0")
    world.rest()
    world.oracle.check()
    assert world.keys_of_grants("a") == ["k1"]
