"""The files that have to agree with one another, read once: templates, state machines, functions, package."""

import ast
import json
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from botocore.model import ServiceModel

from latchkey.aws.clients import botocore_session
from latchkey.systems import SYSTEMS

ROOT = Path(__file__).parents[2]
LAYER = ROOT / "layers/latchkey/latchkey"
# The file of each system.
OF_SYSTEMS = {name: LAYER / "systems" / f"{name.replace('-', '_')}.py" for name in SYSTEMS}
TEMPLATE_TEXT = (ROOT / "template.yaml").read_text()
MACHINE_TEXTS = {path.name.removesuffix(".asl.json"): path.read_text() for path in sorted(ROOT.glob("statemachine/*.asl.json"))}


class _Loader(yaml.CSafeLoader):  # type: ignore[misc]
    """Reads short intrinsic functions as their long form: `!Ref X` as {"Ref": "X"}, `!GetAtt A.B` as {"Fn::GetAtt": "A.B"}."""


def _intrinsic(loader: yaml.CSafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix == "Ref" else f"Fn::{suffix}": value}


def load_template(text: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(text, _Loader)
    return document


_Loader.add_multi_constructor("!", _intrinsic)

TEMPLATE = load_template(TEMPLATE_TEXT)
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
# The nested application that holds the alarms and the dashboard.
OBSERVABILITY = load_template((ROOT / "observability.yaml").read_text())
ALARMS: dict[str, dict[str, Any]] = {
    name: resource["Properties"]
    for name, resource in OBSERVABILITY["Resources"].items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
}
GLOBALS: dict[str, Any] = TEMPLATE["Globals"]["Function"]
MACHINES: dict[str, dict[str, Any]] = {name: json.loads(text) for name, text in MACHINE_TEXTS.items()}


@cache
def service_model(service: str) -> ServiceModel:
    """The model of a service with the operations that the package adds to it."""
    return botocore_session().get_service_model(service)


def states(machine: str) -> dict[str, dict[str, Any]]:
    """Returns the states of a state machine, and those that a Map repeats."""
    found: dict[str, dict[str, Any]] = MACHINES[machine]["States"]
    inner = (state["ItemProcessor"]["States"] for state in found.values() if state["Type"] == "Map")
    return {name: state for group in (found, *inner) for name, state in group.items()}


def tasks(machine: str) -> dict[str, dict[str, Any]]:
    """Returns the states that invoke a function."""
    return {name: state for name, state in states(machine).items() if state.get("Resource", "").endswith("FunctionArn}")}


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    """Returns the properties of every resource of a type in template.yaml, by logical ID."""
    return {name: resource["Properties"] for name, resource in RESOURCES.items() if resource["Type"] == kind}


FUNCTIONS = of_type("AWS::Serverless::Function")
STATE_MACHINES = of_type("AWS::Serverless::StateMachine")
FOLDERS = sorted(path.parent.name for path in ROOT.glob("functions/*/app.py"))


def logical_id(folder: str) -> str:
    """`create_key` -> `CreateKeyFunction`."""
    return "".join(part.title() for part in folder.split("_")) + "Function"


def policies(properties: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the policies of the role of a function or state machine, which can be the role of another function."""
    if "Role" in properties:
        return policies(FUNCTIONS[properties["Role"]["Fn::GetAtt"].split(".")[0].removesuffix("Role")])
    found: list[dict[str, Any]] = properties["Policies"]
    return found


def own_statements(properties: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the IAM statements that only the role of this function or state machine has."""
    return [statement for policy in policies(properties) for statement in policy.get("Statement", [])]


def shared_policies(properties: dict[str, Any]) -> list[str]:
    """Returns the logical IDs of the managed policies of this template that a function or state machine carries."""
    return [policy["Ref"] for policy in policies(properties) if "Ref" in policy]


def statements(properties: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the Allow statements of a function or state machine, from its own policy and from shared policies."""
    shared = [RESOURCES[name]["Properties"]["PolicyDocument"]["Statement"] for name in shared_policies(properties)]
    every = [statement for document in shared for statement in document] + own_statements(properties)
    return [statement for statement in every if statement["Effect"] == "Allow"]


def targets(state: dict[str, Any]) -> set[str]:
    """Returns the states that can follow a state."""
    followers = [state, *state.get("Choices", []), *state.get("Catch", [])]
    inner = {state["ItemProcessor"]["StartAt"]} if "ItemProcessor" in state else set()
    return (
        {follower["Next"] for follower in followers if "Next" in follower}
        | inner
        | {state[key] for key in ("Default",) if key in state}
    )


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def actions(properties: dict[str, Any]) -> set[str]:
    """Returns the actions that the role of a function or state machine allows."""
    return {action for statement in statements(properties) for action in listed(statement["Action"])}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def sources() -> list[Path]:
    """Returns every Python file that is deployed."""
    return sorted([*LAYER.rglob("*.py"), *ROOT.glob("functions/*/*.py")])


def copy(to: Path, *names: str) -> None:
    """Copies files and folders of the project, for tests that change them."""
    for name in names:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, to / name)


def sentence_to_folder(state: str) -> str:
    """`Create key` -> `create_key`."""
    return re.sub(r"\W+", "_", state.lower())
