"""How a new token takes effect for all accesses that read one secret, from the facts of their systems. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from latchkey.access.desired import Desired
from latchkey.systems.system import Rotation


@dataclass(frozen=True)
class Choreography:
    """What a rotation does for the accesses of a secret, in the order in which the members are listed.

    `before` and `after` are the steps of those at the other end, and nothing happens between `before` and a confirmation.
    `interrupted` are the accesses whose clients can be refused whatever Latchkey does. `updates` are those whose resource must
    be configured again to read the new token. `wait_seconds` is how long a service can still accept only the former token.
    `keeps_previous`: every service that checks the token accepts the former one as well, until the next rotation.
    """

    before: tuple[str, ...] = ()
    interrupted: tuple[str, ...] = ()
    updates: tuple[str, ...] = ()
    wait_seconds: int = 0
    after: tuple[str, ...] = ()
    keeps_previous: bool = False


def choreography(accesses: Sequence[Desired]) -> Choreography:
    """The choreography for the accesses that read one secret.

    If one service sends the token to another that checks it, such as MediaTailor to MediaPackage, the second one can read a new
    token later than the first one uses it, so requests are refused in between.
    """
    facts = [(one, one.system.rotation) for one in accesses if one.system.rotation]
    sending = [one.access_id for one, rotation in facts if rotation.before]
    checking = [one for one, rotation in facts if rotation.keeps_previous]
    interrupted = [one.access_id for one, rotation in facts if rotation.interrupts]
    return Choreography(
        before=tuple(rotation.before(one.resource) for one, rotation in facts if rotation.before),
        interrupted=tuple(sorted([*interrupted, *(sending if checking else [])])),
        updates=tuple(one.access_id for one, rotation in facts if rotation.needs_update and not one.hands_off),
        wait_seconds=max((one.system.effect_delay_seconds or 0 for one in checking), default=0),
        after=tuple(step for one, rotation in facts for step in _after(one, rotation)),
        keeps_previous=bool(checking) and len(checking) == len(facts),
    )


def _after(access: Desired, rotation: Rotation) -> tuple[str, ...]:
    own = rotation.after(access.resource)
    if not (rotation.needs_update and access.hands_off):
        return (own,)
    return (own, f"Send the settings of {access.resource.name} again, so that its service reads the new token.")


def token_lengths(accesses: Sequence[Desired]) -> tuple[int, int]:
    """The shortest and the longest token that every access can read which reads the same member of the secret as the first."""
    shapes = [one.secret_shape for one in accesses if one.secret_shape]
    same = [shape for shape in shapes if shape.member == shapes[0].member]
    return max(shape.minimum for shape in same), min(shape.maximum for shape in same)
