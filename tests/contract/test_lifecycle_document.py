"""The states, transitions and accepted requests in docs/lifecycle.md are those of the code."""

import re

from latchkey.access.lifecycle import PHASES, STATES, STATUSES, TRANSITIONS, State, broken_rule
from latchkey.requests.lifecycle import ACCESS_REQUESTS, ROTATION_REQUESTED
from latchkey.requests.models import HANDOFF_CONFIRMED, ONBOARDING_REQUESTED
from tests.contract.artifacts import ROOT

TEXT = (ROOT / "docs/lifecycle.md").read_text()
NOTHING = "none recorded"


def rows(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, without its first two."""
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")][2:]


def test_every_state_is_listed_with_the_attribute_that_records_it() -> None:
    listed = {state.strip("`"): where.strip("`") for state, where, _ in rows("States")}

    assert listed == dict.fromkeys(STATUSES, "status") | dict.fromkeys(PHASES, "phase")


def test_the_requests_that_each_state_accepts_are_listed() -> None:
    found = {kind.strip("`"): states.split("; ")[0] for kind, states in rows("Requests that each state accepts")}
    listed = {kind: set(states.replace("`", "").split(", ")) for kind, states in found.items()}

    accepted = {
        kind: {state or NOTHING for state in STATES if broken_rule(kind, state) is None}
        for kind in (ONBOARDING_REQUESTED, HANDOFF_CONFIRMED, *ACCESS_REQUESTS)
    }
    assert listed == accepted
    withdrawn = [state for state in STATES if broken_rule(ROTATION_REQUESTED, state, withdraws=True) is None]
    assert f"with `withdraw`, `{withdrawn[0]}`" in TEXT
    assert len(withdrawn) == 1


def test_the_diagram_shows_every_transition() -> None:
    [drawing] = re.findall(r"```mermaid\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, State] = {"[*]": None, **{state.replace("-", "_"): state for state in STATES if state}}
    inside = [line.strip().split(":")[0] for line in drawing.split("observed {\n")[1].split("}")[0].splitlines()]
    observed = {names[name] for name in inside if name}

    drawn = {(former, latter) for former in observed for latter in observed if former != latter}
    for former, latter in re.findall(r"(\S+) --> (\S+)", drawing):
        sources = observed if former == "observed" else {names[former]}
        targets = observed if latter == "observed" else {names[latter]}
        drawn |= {(source, target) for source in sources for target in targets}
    assert drawn == {(former, latter) for former, latters in TRANSITIONS.items() for latter in latters}
