"""The files that must agree with one another, read once: template, state machine, functions, package."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
LAYER = ROOT / "layers/latchkey/latchkey"
TEMPLATE_TEXT = (ROOT / "template.yaml").read_text()
MACHINE_TEXT = (ROOT / "statemachine/onboard-access.asl.json").read_text()


class _Loader(yaml.SafeLoader):
    """Short intrinsic functions become their long form: `!Ref X` is {"Ref": "X"}, `!GetAtt A.B` {"Fn::GetAtt": "A.B"}."""


def _intrinsic(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix == "Ref" else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _intrinsic)

TEMPLATE: dict[str, Any] = yaml.load(TEMPLATE_TEXT, _Loader)
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
GLOBALS: dict[str, Any] = TEMPLATE["Globals"]["Function"]
MACHINE: dict[str, Any] = json.loads(MACHINE_TEXT)
STATES: dict[str, dict[str, Any]] = MACHINE["States"]
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    """The properties of every resource of a type, by logical id."""
    return {name: resource["Properties"] for name, resource in RESOURCES.items() if resource["Type"] == kind}


FUNCTIONS = of_type("AWS::Serverless::Function")
FOLDERS = sorted(path.parent.name for path in ROOT.glob("functions/*/app.py"))


def logical_id(folder: str) -> str:
    """`create_key` -> `CreateKeyFunction`."""
    return "".join(part.title() for part in folder.split("_")) + "Function"


def statements(properties: dict[str, Any]) -> list[dict[str, Any]]:
    """The IAM statements written at a function or state machine."""
    return [statement for policy in properties["Policies"] for statement in policy.get("Statement", [])]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def actions(properties: dict[str, Any]) -> set[str]:
    """What the statements of a function or state machine allow."""
    allowing = [statement for statement in statements(properties) if statement["Effect"] == "Allow"]
    return {action for statement in allowing for action in listed(statement["Action"])}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def sources() -> list[Path]:
    """Every Python file that is deployed."""
    return sorted([*LAYER.rglob("*.py"), *ROOT.glob("functions/*/*.py")])


def sentence_to_folder(state: str) -> str:
    """`Create key` -> `create_key`."""
    return re.sub(r"\W+", "_", state.lower())
