"""The sample requests in events/requests, which users copy and send with `aws events put-events`."""

import json
from pathlib import Path
from typing import Any

from latchkey.requests.models import ONBOARDING_REQUESTED
from tests.contract.artifacts import ROOT

_FILES = sorted(ROOT.glob("events/requests/*.json"))


def _entries(path: Path) -> list[dict[str, Any]]:
    """The PutEvents entries in a file, with `Detail` parsed."""
    entries: list[dict[str, Any]] = json.loads(path.read_text())
    return [entry | {"Detail": json.loads(entry["Detail"])} for entry in entries]


# The PutEvents entry in each file, by the name of the file. Each file contains one entry.
ENTRIES = {path.stem: entry for path in _FILES for entry in _entries(path)}
# The details of the requests that are only planned, by the name of the file.
PLANS = {name: entry["Detail"] for name, entry in ENTRIES.items() if entry["Detail"].get("mode") == "plan"}
# The details of the onboarding requests, by the name of the file.
ONBOARDINGS = {
    name: entry["Detail"]
    for name, entry in ENTRIES.items()
    if entry["DetailType"] == ONBOARDING_REQUESTED and name not in PLANS
}


def schema_name(entry: dict[str, Any]) -> str:
    """The name of the schema in events/schemas for the detail of an entry."""
    kind = entry["DetailType"]
    return f"onboard-{entry['Detail']['system']}" if kind == ONBOARDING_REQUESTED else kind.lower().replace(" ", "-")
