"""`sam local start-lambda`, and boto3 against it."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config

from local_aws.embedded import REPOSITORY, Embedded, until
from local_aws.embedded import session as root_session
from local_aws.samples import KEYS
from tests.sam_local.conftest import FOLDER, WITHOUT_CREDENTIALS


@pytest.fixture(scope="module")
def functions(aws: Embedded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of the functions that sam serves."""
    log: Path = tmp_path_factory.mktemp("sam") / "log"
    command = ["sam", "local", "start-lambda", "--config-env", "local", "--port", "3051"]
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=WITHOUT_CREDENTIALS, stdout=file, stderr=file)
    try:
        [url] = until(lambda: re.findall(r"Running on (\S+)", log.read_text()), "sam local start-lambda", 120)
        make: Any = root_session()
        yield make.client("lambda", endpoint_url=url, config=Config(read_timeout=200, retries={"total_max_attempts": 1}))
    finally:
        process.terminate()
        process.wait(60)


def test_boto3_invokes_a_function_that_sam_serves(functions: Any) -> None:
    answered = functions.invoke(FunctionName="ListGrantsFunction", Payload=(FOLDER / "list_grants.json").read_bytes())

    listed = json.load(answered["Payload"])["grants"]
    assert KEYS["live-origin"] in {grant["keyArn"].rpartition("/")[2] for grant in listed}


def test_an_error_of_a_function_that_sam_serves_has_its_class(functions: Any) -> None:
    answered = functions.invoke(FunctionName="ListGrantsFunction", Payload="{}")

    assert json.load(answered["Payload"])["errorType"] == "InvalidRequest"
