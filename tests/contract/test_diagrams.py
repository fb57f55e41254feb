"""The diagrams in the documents show the states and transitions of the state machines."""

import re
from functools import cached_property

import pytest

from tests.contract.artifacts import FOLDERS, ROOT, sentence_to_folder, states, targets

# The document, the state machine, and the functions that the diagram shows in front of the state machine.
DIAGRAMS = [
    ("docs/architecture.md", "onboard-access", {"receive request"}),
    ("docs/offboarding.md", "offboard-access", {"receive request"}),
    ("docs/rotation.md", "rotate-token", {"receive request"}),
    ("docs/discovery.md", "discover", {"receive request"}),
    ("docs/clean-up.md", "clean-up-grants", {"identify accesses", "sweep grants"}),
]


class Diagram:
    """The Mermaid diagram of a state machine in a document: the one with a subgraph of its name."""

    def __init__(self, document: str, machine: str, callers: set[str]) -> None:
        drawn = re.findall(r"^```mermaid\n(.*?)^```$", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)
        [self.text] = [text for text in drawn if f"subgraph {machine}\n" in text]
        self.states, self.callers = states(machine), callers
        self.ends = {name for name, state in self.states.items() if state["Type"] in {"Succeed", "Fail"}}

    @cached_property
    def labels(self) -> dict[str, str]:
        """Labels by node, as in `check[Check request]` or `value{A<br>value?}`. Stores (`bus[(bus)]`) are omitted."""
        found = re.findall(r"(\w+)[\[{]([^(\]}][^\]}]*)[\]}]", self.text)
        return {name: label.replace("<br>", " ") for name, label in found}

    @property
    def drawn_states(self) -> set[str]:
        return set(self.labels.values()) - self.callers

    def arrows(self, kind: str) -> set[tuple[str, str]]:
        """The arrows of a kind (`-->` or `-.->`) between states. `a & b` stands for two nodes."""
        found: set[tuple[str, str]] = set()
        for line in self.text.splitlines():
            without_labels = re.sub(r"[\[{].*?[\]}](?=\s|$)", "", line.strip())
            parts = re.split(r"\s+(-->|-\.->)(?:\|[^|]*\|)?\s+", without_labels)
            for at in range(1, len(parts), 2):
                if parts[at] == kind:
                    found |= {(a, b) for a in parts[at - 1].split(" & ") for b in parts[at + 1].split(" & ")}
        labeled = {(self.labels.get(a), self.labels.get(b)) for a, b in found}
        return {(a, b) for a, b in labeled if a in self.drawn_states and b in self.drawn_states and a and b}


@pytest.fixture(params=DIAGRAMS, ids=[machine for _, machine, _ in DIAGRAMS])
def diagram(request: pytest.FixtureRequest) -> Diagram:
    return Diagram(*request.param)


def test_the_diagram_shows_every_state_except_the_ends(diagram: Diagram) -> None:
    assert set(diagram.states) - diagram.ends == diagram.drawn_states


def test_the_callers_in_the_diagram_are_functions(diagram: Diagram) -> None:
    assert diagram.callers <= set(diagram.labels.values())
    assert {sentence_to_folder(label) for label in diagram.callers} <= set(FOLDERS)


def test_solid_arrows_are_the_transitions_of_the_state_machine(diagram: Diagram) -> None:
    transitions = {
        (name, follower)
        for name, state in diagram.states.items()
        for follower in targets({key: value for key, value in state.items() if key != "Catch"})
    }

    assert diagram.arrows("-->") == {(name, follower) for name, follower in transitions if follower not in diagram.ends}


def test_dotted_arrows_are_catchers_of_the_state_machine(diagram: Diagram) -> None:
    catchers = {(name, catcher["Next"]) for name, state in diagram.states.items() for catcher in state.get("Catch", [])}

    assert diagram.arrows("-.->")
    assert diagram.arrows("-.->") <= catchers
