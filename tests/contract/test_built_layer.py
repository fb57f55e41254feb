"""The built layer, which the tests run and `make deploy` deploys."""

import importlib.metadata
import os
import re
import subprocess
import sys

import botocore.session
import pytest

from build_layer import ARCHITECTURES, LOCK, check_extension_modules, named_services
from tests.contract.artifacts import FOLDERS, ROOT, TEMPLATE, logical_id

BUILD = ROOT / ".aws-sam/build"
LAYER = BUILD / "LatchkeyLayer/python"
LOCKED = dict(re.findall(r"^([\w.-]+)==(\S+)", LOCK.read_text(), re.MULTILINE))


def installed(distribution: str) -> set[str]:
    """Returns the modules of an installed distribution, as paths."""
    return {path.as_posix() for path in importlib.metadata.files(distribution) or [] if path.suffix == ".py"}


@pytest.mark.parametrize("folder", ["layers/latchkey/latchkey", *(f"functions/{name}" for name in FOLDERS)])
def test_the_layer_has_a_model_of_every_service_that_the_code_names(folder: str) -> None:
    services = set(botocore.session.get_session().get_available_services())
    in_layer = {path.name for path in (LAYER / "botocore/data").iterdir()}

    missing = named_services(ROOT / folder) & services - in_layer

    assert not missing, (
        f"{folder} names {', '.join(sorted(missing))}, which the layer's build leaves out: it keeps the models of services "
        "that layers/latchkey/latchkey names. Name the service there and build again."
    )


def test_models_of_other_services_are_not_in_the_layer() -> None:
    in_layer = {path.name for path in (LAYER / "botocore/data").iterdir() if path.is_dir()}

    assert {"dynamodb", "kms", "mediatailor", "secretsmanager"} <= in_layer
    assert not {"ec2", "sns", "sqs"} & in_layer


def test_the_layer_holds_the_locked_versions() -> None:
    found = importlib.metadata.distributions(path=[str(LAYER)])

    assert {distribution.name.replace("_", "-").lower(): distribution.version for distribution in found} == LOCKED


@pytest.mark.parametrize("distribution", LOCKED)
def test_no_code_of_a_library_is_left_out(distribution: str) -> None:
    assert importlib.metadata.version(distribution) == LOCKED[distribution]
    assert {name for name in installed(distribution) if not (name.startswith("..") or (LAYER / name).is_file())} == set()


def test_every_module_is_compiled() -> None:
    modules = list(LAYER.rglob("*.py"))

    assert not [path for path in modules if not (path.parent / f"__pycache__/{path.stem}.cpython-313.pyc").is_file()]


def test_compiled_modules_are_there_for_every_architecture_of_the_template() -> None:
    check_extension_modules(LAYER)

    assert len(list(LAYER.glob("pydantic_core/*.so"))) == len(ARCHITECTURES)
    architectures = {name.replace("aarch64", "arm64") for name in ARCHITECTURES}
    assert set(TEMPLATE["Resources"]["LatchkeyLayer"]["Properties"]["CompatibleArchitectures"]) == architectures
    assert re.findall(r"\w+", TEMPLATE["Parameters"]["Architecture"]["AllowedPattern"]) == sorted(architectures)


# https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
MACHINES = {62: "x86_64", 183: "aarch64"}


def test_every_compiled_module_is_a_64_bit_elf_file_of_the_architecture_in_its_name() -> None:
    modules = [*LAYER.rglob("*.so")]
    assert modules
    for path in modules:
        header = path.read_bytes()[:20]
        assert (header[:4], header[4:6]) == (b"\x7fELF", b"\x02\x01"), path
        assert MACHINES[int.from_bytes(header[18:20], "little")] in path.name, path


# Each function is imported in a process of its own, forked after the import of what all of them share.
IMPORTS = """
import os, sys
sys.path.insert(0, sys.argv[1])
import latchkey.handler
for folder in sys.argv[2:]:
    child = os.fork()
    if not child:
        sys.path.insert(0, folder)
        import app
        app.lambda_handler
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print(folder)
"""


def test_every_function_imports_everything_it_needs_from_the_layer() -> None:
    """With tracing, as on Lambda. `-I` and `-S` hide the packages of this environment."""
    environment = {"LAMBDA_TASK_ROOT": "/var/task", "AWS_DEFAULT_REGION": "us-east-1", "PATH": os.environ["PATH"]}
    folders = [str(BUILD / logical_id(folder)) for folder in FOLDERS]

    command = [sys.executable, "-I", "-S", "-B", "-c", IMPORTS, str(LAYER), *folders]
    done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)

    assert done.stdout == "", done.stderr
