"""The requests of events/requests, as they are put on the bus."""

import json
from pathlib import Path
from typing import Any

from latchkey.requests.models import HANDOFF_CONFIRMED
from tests.contract.artefacts import ROOT

REQUESTS = sorted(ROOT.glob("events/requests/*.json"))


def entries(path: Path) -> list[dict[str, Any]]:
    """The entries of one file, with their details read."""
    found: list[dict[str, Any]] = json.loads(path.read_text())
    return [entry | {"Detail": json.loads(entry["Detail"])} for entry in found]


# The one request of each file, by its name.
SENT = {path.stem: entry for path in REQUESTS for entry in entries(path)}
ONBOARDINGS = {name: entry["Detail"] for name, entry in SENT.items() if entry["DetailType"] != HANDOFF_CONFIRMED}


def schema_of(entry: dict[str, Any]) -> str:
    """The name of the schema that a request fits."""
    return "handoff-confirmed" if entry["DetailType"] == HANDOFF_CONFIRMED else f"onboard-{entry['Detail']['system']}"
