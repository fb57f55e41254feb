"""The parameters of a removal: the access, what it still uses, and where steps and evidence are recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from latchkey.access.desired import Desired, desire
from latchkey.aws.clients import Clients
from latchkey.events.outcomes import Evidence
from latchkey.policies import Statement
from latchkey.registry import Registry
from latchkey.registry.accesses import AnnouncedRequest
from latchkey.settings import Settings

# What uses a key or secret that the same access still needs.
OWN_ACCESS = "another request of this access"


@dataclass(frozen=True)
class Removal:
    """The removal of what one access no longer needs, in whole or in part.

    `desired` is the request that used it. `note` records a step before it is carried out, so that it is reported even if the
    function crashes right after it, and `note_evidence` the read that justifies a deletion. For a key or secret, by its name in
    the registry or its ARN, `kept` returns the requests of this access whose statements stay, and `is_used` whether this access
    itself still uses it. `leaving` are other accesses that leave the key together with this one: the request that moves them is
    still running, and does not use the key. The clients must not retry.
    """

    desired: Desired
    settings: Settings
    registry: Registry
    clients: Clients
    note: Callable[[str], None]
    note_evidence: Callable[[Evidence], None]
    kept: Callable[[str], Iterable[Desired]]
    is_used: Callable[[str], bool]
    leaving: frozenset[str] = frozenset()

    @property
    def access_id(self) -> str:
        return self.desired.access_id

    def needed(
        self, resource: str, statements: Callable[[Desired], Iterable[Statement]]
    ) -> Callable[[], list[Iterable[Statement]]]:
        """The statements that the accesses of a key or secret still need, read on demand.

        After a move, an access refers to its former key until leave_key has removed its statements.
        """

        def read() -> list[Iterable[Statement]]:
            found = self.registry.requests_using(resource, without=self.access_id)
            others = [one for one in found if ":key/" not in resource or self._can_use(one, resource)]
            wanted = [*(desire(other.request, self.settings, other.tenant) for other in others), *self.kept(resource)]
            return [statements(one) for one in wanted]

        return read

    def _can_use(self, request: AnnouncedRequest, key_arn: str) -> bool:
        """Whether a request of another access uses the key. One that is running can, as long as it has no key."""
        if request.key_arn is None:
            return request.request.access_id not in self.leaving
        return request.key_arn == key_arn
