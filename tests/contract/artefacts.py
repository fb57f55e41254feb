"""The files that must agree with one another, read once: template, state machine, functions, package."""

import ast
import json
import re
import shutil
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.nodes import Node, ScalarNode, SequenceNode

from latchkey.systems import SYSTEMS

ROOT = Path(__file__).parents[2]
LAYER = ROOT / "layers/latchkey/latchkey"
# Each system's own file.
OF_SYSTEMS = {name: LAYER / "systems" / f"{name.replace('-', '_')}.py" for name in SYSTEMS}
TEMPLATE_TEXT = (ROOT / "template.yaml").read_text()
MACHINE_TEXTS = {path.name.removesuffix(".asl.json"): path.read_text() for path in sorted(ROOT.glob("statemachine/*.asl.json"))}


class _Constructor(SafeConstructor):
    """Short intrinsic functions become their long form: `!Ref X` is {"Ref": "X"}, `!GetAtt A.B` {"Fn::GetAtt": "A.B"}."""


def _intrinsic(constructor: SafeConstructor, suffix: str, node: Node) -> dict[str, Any]:
    if isinstance(node, ScalarNode):
        value: Any = constructor.construct_scalar(node)
    elif isinstance(node, SequenceNode):
        value = constructor.construct_sequence(node, deep=True)
    else:
        value = constructor.construct_mapping(node, deep=True)
    return {suffix if suffix == "Ref" else f"Fn::{suffix}": value}


def _load(text: str) -> dict[str, Any]:
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    document: dict[str, Any] = yaml.load(text)
    return document


_Constructor.add_multi_constructor("!", _intrinsic)

TEMPLATE = _load(TEMPLATE_TEXT)
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
GLOBALS: dict[str, Any] = TEMPLATE["Globals"]["Function"]
MACHINES: dict[str, dict[str, Any]] = {name: json.loads(text) for name, text in MACHINE_TEXTS.items()}


def states(machine: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = MACHINES[machine]["States"]
    return found


def tasks(machine: str) -> dict[str, dict[str, Any]]:
    return {name: state for name, state in states(machine).items() if state["Type"] == "Task"}


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    """The properties of every resource of a type, by logical id."""
    return {name: resource["Properties"] for name, resource in RESOURCES.items() if resource["Type"] == kind}


FUNCTIONS = of_type("AWS::Serverless::Function")
STATE_MACHINES = of_type("AWS::Serverless::StateMachine")
FOLDERS = sorted(path.parent.name for path in ROOT.glob("functions/*/app.py"))


def logical_id(folder: str) -> str:
    """`create_key` -> `CreateKeyFunction`."""
    return "".join(part.title() for part in folder.split("_")) + "Function"


def statements(properties: dict[str, Any]) -> list[dict[str, Any]]:
    """The IAM statements written at a function or state machine."""
    return [statement for policy in properties["Policies"] for statement in policy.get("Statement", [])]


def targets(state: dict[str, Any]) -> set[str]:
    """The states that may follow one."""
    followers = [state, *state.get("Choices", []), *state.get("Catch", [])]
    return {follower["Next"] for follower in followers if "Next" in follower} | {
        state[key] for key in ("Default",) if key in state
    }


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


def copy(to: Path, *names: str) -> None:
    """Copies files and folders of the project, for what would change them."""
    for name in names:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, to / name)


def sentence_to_folder(state: str) -> str:
    """`Create key` -> `create_key`."""
    return re.sub(r"\W+", "_", state.lower())
