"""How planned calls to a media service change what it returns. Each system declares this for its own calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from latchkey.place import Place

type Answer = dict[str, Any]
# A resource after a call, as its read returns it, or None if the call removes it. The arguments are the resource before the
# call, which can be changed and is empty if there is none, the parameters of the call, and the place of the stack.
type Effect = Callable[[Answer, Mapping[str, Any], Place], Answer | None]


@dataclass(frozen=True)
class ShownResource:
    """The operation that reads one resource of a service, the parameters that name it, and the effects of other operations.

    `is_named`: this is the name of the consumer resource, and not of a resource that contains it.
    `listed_by` is the operation that lists all resources with the same members, and `listed` the member that contains them.
    """

    read_by: str
    named_by: tuple[str, ...]
    effects: Mapping[str, Effect]
    is_named: bool = True
    listed_by: str = ""
    listed: str = "Items"

    def name(self, members: Mapping[str, Any]) -> str:
        """The name of the resource in the parameters of a call, or in an entry of a list."""
        return "/".join(members[member] for member in self.named_by)


def merged(found: Answer, given: Mapping[str, Any], _place: Place) -> Answer:
    """An update that sets the given members.

    What becomes of the members that it omits is not documented. A plan assumes that they stay, because then their removal takes
    one more call: see `omittedOnPut` in docs/assumptions.md.
    """
    return found | dict(given)


def replaced(_found: Answer, given: Mapping[str, Any], _place: Place) -> Answer:
    """A call that creates or replaces the resource."""
    return dict(given)


def removed(_found: Answer, _given: Mapping[str, Any], _place: Place) -> None:
    """A call that removes the resource."""
    return
