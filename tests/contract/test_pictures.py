"""The pictures of state machines in the documents go the ways of the machines."""

import re
from functools import cached_property

import pytest

from tests.contract.artefacts import FOLDERS, ROOT, sentence_to_folder, states, targets

# The document, its machine, and the functions that are drawn before the machine starts.
PICTURES = [
    ("README.md", "onboard-access", {"receive request"}),
    ("docs/clean-up.md", "clean-up-grants", {"identify accesses", "sweep grants"}),
]


class Picture:
    """The one Mermaid picture of a document."""

    def __init__(self, document: str, machine: str, before: set[str]) -> None:
        [self.text] = re.findall(r"^```mermaid\n(.*?)^```$", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)
        self.states, self.before = states(machine), before
        self.ends = {name for name, state in self.states.items() if state["Type"] in {"Succeed", "Fail"}}

    @cached_property
    def nodes(self) -> dict[str, str]:
        """Labels by node: `check[Check request]`, `value{Brings a<br>value?}`; a store is `bus[(request bus)]`."""
        found = re.findall(r"(\w+)[\[{]([^(\]}][^\]}]*)[\]}]", self.text)
        return {name: label.replace("<br>", " ") for name, label in found}

    @property
    def drawn(self) -> set[str]:
        return set(self.nodes.values()) - self.before

    def arrows(self, kind: str) -> set[tuple[str, str]]:
        """The arrows of a kind between states; `a & b` stands for two nodes."""
        found: set[tuple[str, str]] = set()
        for line in self.text.splitlines():
            plain = re.sub(r"[\[{].*?[\]}](?=\s|$)", "", line.strip())
            parts = re.split(r"\s+(-->|-\.->)(?:\|[^|]*\|)?\s+", plain)
            for at in range(1, len(parts), 2):
                if parts[at] == kind:
                    found |= {(a, b) for a in parts[at - 1].split(" & ") for b in parts[at + 1].split(" & ")}
        told = {(self.nodes.get(a), self.nodes.get(b)) for a, b in found}
        return {(a, b) for a, b in told if a in self.drawn and b in self.drawn and a and b}


@pytest.fixture(params=PICTURES, ids=[machine for _, machine, _ in PICTURES])
def picture(request: pytest.FixtureRequest) -> Picture:
    return Picture(*request.param)


def test_the_picture_names_every_state_that_does_something_and_no_other(picture: Picture) -> None:
    assert set(picture.states) - picture.ends == picture.drawn


def test_what_comes_before_the_machine_is_a_function(picture: Picture) -> None:
    assert picture.before <= set(picture.nodes.values())
    assert {sentence_to_folder(label) for label in picture.before} <= set(FOLDERS)


def test_the_picture_goes_the_ways_of_the_state_machine(picture: Picture) -> None:
    ways = {
        (name, follower)
        for name, state in picture.states.items()
        for follower in targets({key: value for key, value in state.items() if key != "Catch"})
    }

    assert picture.arrows("-->") == {way for way in ways if way[1] not in picture.ends}


def test_the_errors_drawn_are_caught_so(picture: Picture) -> None:
    caught = {(name, catcher["Next"]) for name, state in picture.states.items() for catcher in state.get("Catch", [])}

    assert picture.arrows("-.->")
    assert picture.arrows("-.->") <= caught
