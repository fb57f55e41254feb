"""The built layer keeps what the code names, and is compiled."""

import os
import subprocess
import sys
from pathlib import Path

import botocore
import pytest

from local_aws.embedded import REPOSITORY
from local_aws.lightening import lighten, missing
from tests.contract.artefacts import FOLDERS, logical_id

BUILD = REPOSITORY / ".aws-sam/build"
BUILT = BUILD / "LatchkeyLayer/python"
SOURCE = '"""A package."""\nNAMED = "kms"\n'
UTILITIES = "aws_lambda_powertools/utilities"
PARTS = ("botocore/data/kms", "botocore/data/ec2", f"{UTILITIES}/typing", f"{UTILITIES}/batch", "pydantic/v1", "pydantic/main")


def built(folder: Path) -> Path:
    layer = folder / "LatchkeyLayer/python"
    for part in PARTS:
        (layer / part).mkdir(parents=True)
    (layer / "botocore/data/endpoints.json").touch()
    (layer / "latchkey").mkdir()
    (layer / "latchkey/aws.py").write_text(SOURCE)
    (folder / "ReceiveFunction").mkdir()
    (folder / "ReceiveFunction/app.py").touch()
    return layer


def test_only_what_is_named_stays(tmp_path: Path) -> None:
    layer = built(tmp_path)

    assert lighten(layer)

    assert [part for part in PARTS if not (layer / part).exists()] == ["botocore/data/ec2", f"{UTILITIES}/batch", "pydantic/v1"]
    assert (layer / "botocore/data/endpoints.json").exists()
    assert missing(layer) == []


@pytest.mark.parametrize("line", [
    "from aws_lambda_powertools.utilities.batch import BatchProcessor",
    "from aws_lambda_powertools.utilities.batch.types import Success",
    "from aws_lambda_powertools.utilities import batch",
    "from aws_lambda_powertools.utilities import typing, batch as batches",
    "from aws_lambda_powertools.utilities import (\n    batch,\n    typing,\n)",
    "import json, aws_lambda_powertools.utilities.batch",
    "import aws_lambda_powertools.utilities.batch",
    "if True:\n    import aws_lambda_powertools.utilities.batch as batches",
])  # fmt: skip
def test_what_a_function_imports_by_now_is_missing(tmp_path: Path, line: str) -> None:
    layer = built(tmp_path)
    lighten(layer)

    (tmp_path / "ReceiveFunction/app.py").write_text(f"{line}\n")

    assert missing(layer) == [f"{UTILITIES}/batch"]


def test_what_is_imported_stays(tmp_path: Path) -> None:
    layer = built(tmp_path)
    (layer / "latchkey/aws.py").write_text("from aws_lambda_powertools.utilities.batch import BatchProcessor\n")

    lighten(layer)

    assert (layer / UTILITIES / "batch").exists()


def test_a_file_that_changes_is_not_taken_for_the_compiled_one(tmp_path: Path) -> None:
    layer = built(tmp_path)
    lighten(layer)
    [compiled] = (layer / "latchkey/__pycache__").iterdir()

    # Bits 0 and 1 of the flags: by hash, and checked. https://peps.python.org/pep-0552/
    assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b11


def test_what_cannot_be_compiled_is_told(tmp_path: Path) -> None:
    layer = built(tmp_path)
    (layer / "latchkey/wrong.py").write_text("def\n")

    assert not lighten(layer)


def test_the_build_is_light() -> None:
    all_services = {path.name for path in (Path(botocore.__file__).parent / "data").iterdir() if path.is_dir()}
    kept = {path.name for path in (BUILT / "botocore/data").iterdir() if path.is_dir()}

    assert {"kms", "secretsmanager", "dynamodb", "events"} <= kept < all_services
    assert list(BUILT.glob("latchkey/__pycache__/aws.*.pyc"))


@pytest.mark.parametrize("function", [logical_id(folder) for folder in FOLDERS])
def test_a_function_imports_all_it_needs_from_the_light_layer(function: str) -> None:
    """With tracing, as where Lambda runs it; `-I` hides what is installed here."""
    program = f"import sys; sys.path[:0] = {[str(BUILT), str(BUILD / function)]}; import app; app.lambda_handler"
    environment = {"LAMBDA_TASK_ROOT": "/var/task", "AWS_DEFAULT_REGION": "us-east-1", "PATH": os.environ["PATH"]}

    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True, env=environment)
