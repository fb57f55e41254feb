"""The input of a cleanup execution."""

from __future__ import annotations

from latchkey.events.cleanup import TrailEvent
from latchkey.wire import WireModel


class CleanUpInput(WireModel):
    """Every member is sent. `keys` are keys, by ARN, that the sweep found in addition to those in the registry.

    `hint` is the trail event that started the cleanup, null if the sweep started it. `leaves`: a former key of the secret can
    still have our statements, because the request that moved the secret could not remove them. `deletesKey`: the secret of the
    offboarded access is gone, so its key can be deleted; nothing else is cleaned up.
    """

    access_id: str
    keys: tuple[str, ...] = ()
    hint: TrailEvent | None = None
    leaves: bool = False
    deletes_key: bool = False
