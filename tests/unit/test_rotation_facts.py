"""What a new token requires: of every system that reads a secret, and of nobody else."""

from __future__ import annotations

import pytest

from tests.unit.samples import KINDS, desired

WITH_SECRET = [kind for kind in KINDS if desired(kind=kind).reads_secret]


@pytest.mark.parametrize("kind", KINDS)
def test_only_systems_with_a_secret_rotate_a_token(kind: str) -> None:
    assert (desired(kind=kind).system.rotation is not None) is (kind in WITH_SECRET)


@pytest.mark.parametrize("kind", WITH_SECRET)
def test_steps_name_the_part_that_they_are_for(kind: str) -> None:
    wanted = desired(kind=kind)
    rotation = wanted.system.rotation
    assert rotation is not None
    name = wanted.resource.name.rsplit("/", 1)[-1]
    assert name in rotation.after(wanted.resource)
    assert rotation.before is None or name in rotation.before(wanted.resource)


@pytest.mark.parametrize("kind", WITH_SECRET)
def test_system_either_waits_keeps_the_previous_token_or_interrupts(kind: str) -> None:
    rotation = desired(kind=kind).system.rotation
    assert rotation is not None
    assert [rotation.before is not None, rotation.keeps_previous, rotation.interrupts].count(True) == 1
    assert rotation.interrupts or not rotation.needs_update


def test_previous_token_is_kept_for_as_long_as_the_service_can_use_it() -> None:
    delays = {kind: desired(kind=kind).system.effect_delay_seconds for kind in WITH_SECRET}
    keeping = {kind for kind in WITH_SECRET if (rotation := desired(kind=kind).system.rotation) and rotation.keeps_previous}
    assert {kind for kind, delay in delays.items() if delay} == keeping
