"""The members, the procedures and the rejections in docs/rotation.md are those of the code."""

import ast
import re

from latchkey.requests.lifecycle import AccessRequest, RotationRequested
from latchkey.systems import SYSTEMS
from tests.contract.artifacts import LAYER, ROOT

TEXT = (ROOT / "docs/rotation.md").read_text()


def rows(first_cell: str) -> list[list[str]]:
    """The rows of the table whose head begins with a cell."""
    _, table = TEXT.split(f"| {first_cell} |", 1)
    lines = table.split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_member_of_the_request_is_listed_with_its_bounds() -> None:
    members = {name: field for name, field in RotationRequested.model_fields.items() if name not in AccessRequest.model_fields}
    listed = {names(member)[0]: effect for member, effect in rows("Member")}

    assert listed.keys() == {field.alias or name for name, field in members.items()}
    days = members["pending_days"]
    low, high = (getattr(one, name) for one, name in zip(days.metadata, ("ge", "le"), strict=True))
    assert f"from {low} to {high}. The default is {days.default}" in listed["pendingDays"]


def test_every_system_is_listed_with_its_procedure() -> None:
    listed = {name: procedure for systems, procedure in rows("System") for name in names(systems)}

    assert listed.keys() == SYSTEMS.keys()
    for name, procedure in listed.items():
        rotation = SYSTEMS[name].rotation
        assert procedure.startswith("Rejected") is (rotation is None), name
        assert ("`Token Pending`" in procedure) is bool(rotation and rotation.before), name
        assert ("the one before" in procedure) is bool(rotation and rotation.keeps_previous), name
        assert ("`acceptsInterruption`" in procedure) is bool(rotation and rotation.interrupts), name
        assert ("settings of the part are sent again" in procedure) is bool(rotation and rotation.needs_update), name
        if rotation and rotation.keeps_previous:
            assert f"{(SYSTEMS[name].effect_delay_seconds or 0) // 60} minutes" in procedure, name


def test_every_path_of_a_rejection_is_listed() -> None:
    tree = ast.parse((LAYER / "rotation/rules.py").read_text())
    constants = {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Constant)
    }
    paths = {
        path.value if isinstance(path, ast.Constant) else constants[ast.unparse(path)]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Problem"
        for path in node.args[:1]
    }

    assert {name for _, place in rows("Request") for name in names(place)} == paths
