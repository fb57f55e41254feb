"""Each function has a module of its name, each system is described in one file, and the settings match the template.

import-linter checks the imports between packages, as configured in pyproject.toml.
"""

import ast
import re
from pathlib import Path

import pytest

from latchkey.observability import tracer
from latchkey.systems import SYSTEMS
from tests.contract.artifacts import FOLDERS, FUNCTIONS, GLOBALS, LAYER, OF_SYSTEMS, ROOT, sources, tree

HANDLERS = sorted(ROOT.glob("functions/*/app.py"))
files = pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
FROM_LAMBDA = {"AWS_REGION"}
READ_BY_BOTOCORE = {"AWS_ENDPOINT_URL"}


def flow_modules(verb: str) -> list[str]:
    """The modules with the name of a function, in all flows."""
    return [f"latchkey.{path.parent.name}.{verb}" for path in sorted(LAYER.glob(f"*/{verb}.py"))]


@pytest.mark.parametrize("verb", FOLDERS)
def test_a_function_is_found_by_its_verb(verb: str) -> None:
    """Exactly one module has the name of the function. The handler imports it, and no module of another function."""
    modules = {module for other in FOLDERS for module in flow_modules(other)}

    assert len(flow_modules(verb)) == 1
    assert imported(ROOT / f"functions/{verb}/app.py") & modules == {*flow_modules(verb)}


def _texts(module: ast.Module) -> set[str]:
    """The string constants of a module, except docstrings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {id(node.body[0].value) for node in ast.walk(module) if isinstance(node, documented) and _has_docstring(node)}  # type: ignore[attr-defined]
    constants = [node for node in ast.walk(module) if isinstance(node, ast.Constant) and id(node) not in docstrings]
    return {constant.value for constant in constants if isinstance(constant.value, str)}


def _has_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> bool:
    return bool(node.body) and ast.get_docstring(node) is not None


@files
def test_only_the_file_of_a_system_contains_its_name(path: Path) -> None:
    """Modules of `systems` that the file imports can contain the name as well. Links do not count."""
    texts = [text.lower() for text in _texts(tree(path)) if "://" not in text]
    named = {name for name in SYSTEMS for text in texts if re.search(rf"(?<![\w:-]){name}(?![\w-])", text)}
    owners = {name for name, file in OF_SYSTEMS.items() if path == file or f"latchkey.systems.{path.stem}" in imported(file)}

    assert named <= (owners if path.parent == LAYER / "systems" else set())
    assert {name for name, file in OF_SYSTEMS.items() if path == file} <= named


@files
def test_no_code_branches_on_the_name_of_a_system(path: Path) -> None:
    compared = [ast.unparse(node) for node in ast.walk(tree(path)) if isinstance(node, ast.Compare | ast.Match)]

    assert [text for text in compared if "system.name ==" in text or "request.system ==" in text] == []


def imported(path: Path) -> set[str]:
    """The modules and the members of modules that a file imports, by their full names."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_aws_responses_are_not_traced() -> None:
    assert tracer.auto_patch is False


def test_only_one_module_reads_secret_values() -> None:
    reading = [path.name for path in sources() if ".get_secret_value(" in path.read_text()]

    assert reading == ["secret_values.py"]


def _read_by_settings() -> set[str]:
    """The environment variables that settings.py reads."""
    names = set()
    for node in ast.walk(tree(LAYER / "settings.py")):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "env":
            names.add(ast.literal_eval(node.slice))
        if isinstance(node, ast.Call) and (ast.unparse(node.func) == "env.get" or ast.unparse(node.func).startswith("arns.")):
            names.add(ast.literal_eval(node.args[0]))
    return names


def _field_of(variable: str) -> str:
    """The field of the settings for a variable: that of a name contains its ARN."""
    field = variable.lower()
    if field == "own_roles":
        return "own_role_arns"
    return f"{field}_arn" if field.endswith(("_role", "_state_machine")) else field


def test_the_template_sets_exactly_the_variables_that_the_settings_read() -> None:
    own = [variable for function in FUNCTIONS.values() for variable in function["Environment"]["Variables"]]
    given = {name for name in {*GLOBALS["Environment"]["Variables"], *own} if not name.startswith("POWERTOOLS_")}

    assert _read_by_settings() - FROM_LAMBDA == given - READ_BY_BOTOCORE


def test_a_variable_that_only_some_functions_have_is_read_only_by_their_handlers() -> None:
    given = {
        (function["CodeUri"].removeprefix("functions/"), _field_of(variable))
        for function in FUNCTIONS.values()
        for variable in set(function["Environment"]["Variables"])
        - {"POWERTOOLS_SERVICE_NAME", *GLOBALS["Environment"]["Variables"]}
    }
    own = {field for _, field in given}

    assert ("receive_request", "onboard_state_machine_arn") in given
    assert given == {(path.parent.name, field) for path in HANDLERS for field in own if f".{field}" in path.read_text()}
