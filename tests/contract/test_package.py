"""How the deployed code is built: handlers are one call, systems are facts, rules touch nothing, the environment is typed."""

import ast
import re
from pathlib import Path

import pytest

from latchkey.observability import tracer
from latchkey.systems import SYSTEMS
from tests.contract.artefacts import FUNCTIONS, GLOBALS, LAYER, OF_SYSTEMS, ROOT, sources, tree

HANDLERS = sorted(ROOT.glob("functions/*/app.py"))
handlers = pytest.mark.parametrize("path", HANDLERS, ids=lambda path: path.parent.name)
files = pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
FROM_LAMBDA = {"AWS_REGION"}
READ_BY_BOTOCORE = {"AWS_ENDPOINT_URL"}
CONTROL_FLOW = {"For", "IfExp", "Match", "Try", "TryStar", "While", "With"}
OUTSIDE = {"aws_lambda_powertools", "boto3", "botocore", "datetime", "logging", "os", "random", "secrets", "time"}


def handler(path: Path) -> ast.FunctionDef:
    [found] = [node for node in tree(path).body if isinstance(node, ast.FunctionDef)]
    return found


@handlers
def test_a_handler_is_one_typed_call_with_a_docstring(path: Path) -> None:
    function = handler(path)

    assert function.name == "lambda_handler"
    assert ast.get_docstring(function)
    assert function.returns is not None
    assert [argument.arg for argument in function.args.args if argument.annotation] == ["event"]
    assert (function.end_lineno or 0) - function.decorator_list[0].lineno < 25


@handlers
def test_a_handler_is_a_step_of_its_own_input(path: Path) -> None:
    function = handler(path)
    [decorator] = function.decorator_list
    assert isinstance(decorator, ast.Call)

    assert ast.unparse(decorator.func) == "step"
    assert [ast.unparse(argument) for argument in decorator.args] == [ast.unparse(function.args.args[0].annotation)]  # type: ignore[arg-type]


@files
def test_a_module_says_in_one_sentence_what_it_is_for(path: Path) -> None:
    sentence, *more = (ast.get_docstring(tree(path)) or "").split("\n\n")

    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert more == []


def _texts(module: ast.Module) -> set[str]:
    """The string constants of a module, docstrings left out."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {id(node.body[0].value) for node in ast.walk(module) if isinstance(node, documented) and _has_docstring(node)}  # type: ignore[attr-defined]
    constants = [node for node in ast.walk(module) if isinstance(node, ast.Constant) and id(node) not in docstrings]
    return {constant.value for constant in constants if isinstance(constant.value, str)}


def _has_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> bool:
    return bool(node.body) and ast.get_docstring(node) is not None


@files
def test_a_systems_name_stands_where_its_facts_are(path: Path) -> None:
    """In its own file, and in one that it takes its facts from; links may hold it as well."""
    texts = [text.lower() for text in _texts(tree(path)) if "://" not in text]
    named = {name for name in SYSTEMS for text in texts if re.search(rf"(?<![\w:-]){name}(?![\w-])", text)}
    owners = {name for name, file in OF_SYSTEMS.items() if path == file or f"latchkey.systems.{path.stem}" in imported(file)}

    assert named <= (owners if path.parent == LAYER / "systems" else set())
    assert {name for name, file in OF_SYSTEMS.items() if path == file} <= named


@files
def test_nothing_is_compared_with_the_system_of_a_request(path: Path) -> None:
    compared = [ast.unparse(node) for node in ast.walk(tree(path)) if isinstance(node, ast.Compare | ast.Match)]

    assert [text for text in compared if "system.name ==" in text or "request.system ==" in text] == []


def imported(path: Path) -> set[str]:
    """The modules that a file imports while it runs, type checking left out."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


RULES = [LAYER / f"{name}.py" for name in ("access/desired", "access/checks", "cleanup/trail_events")] + sorted(
    (LAYER / "policies").glob("*.py")
)


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.relative_to(LAYER).as_posix())
def test_a_rule_touches_nothing(path: Path) -> None:
    roots = {name.split(".")[0] for name in imported(path)}

    banned = {"boto3", "botocore", "aws_lambda_powertools", "datetime", "logging", "os", "random", "secrets", "time"}
    assert roots & banned == set()
    assert {"latchkey.aws.clients", "latchkey.registry"} & imported(path) == set()


def test_only_one_module_reads_the_environment() -> None:
    assert [path.name for path in sources() if "os" in imported(path)] == ["settings.py"]


def test_only_one_module_makes_clients() -> None:
    assert [path.name for path in sources() if "boto3" in imported(path)] == ["clients.py"]


def test_no_answer_of_aws_is_traced() -> None:
    assert tracer.auto_patch is False


def test_only_one_module_reads_values() -> None:
    reading = [path.name for path in sources() if ".get_secret_value(" in path.read_text()]

    assert reading == ["secret_values.py"]


def _read_by_settings() -> set[str]:
    names = set()
    for node in ast.walk(tree(LAYER / "settings.py")):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "env":
            names.add(ast.literal_eval(node.slice))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "env.get":
            names.add(ast.literal_eval(node.args[0]))
    return names


def test_the_template_sets_what_the_settings_read() -> None:
    own = [variable for function in FUNCTIONS.values() for variable in function["Environment"]["Variables"]]
    given = {name for name in {*GLOBALS["Environment"]["Variables"], *own} if not name.startswith("POWERTOOLS_")}

    assert _read_by_settings() - FROM_LAMBDA == given - READ_BY_BOTOCORE


def test_what_a_function_alone_is_given_it_alone_reads() -> None:
    given = {
        (function["CodeUri"].removeprefix("functions/"), variable.lower())
        for function in FUNCTIONS.values()
        for variable in set(function["Environment"]["Variables"]) - {"POWERTOOLS_SERVICE_NAME"}
    }
    own = {field for _, field in given}

    assert ("receive_request", "onboard_state_machine_arn") in given
    assert given == {(path.parent.name, field) for path in HANDLERS for field in own if f".{field}" in path.read_text()}
