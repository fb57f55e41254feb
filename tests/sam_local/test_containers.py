"""Functions really run in containers, with the runtime, layer, handler and credentials that the template and sam define."""

import json
import subprocess
import sys
from functools import partial
from typing import Any

import pytest

from local_aws.tools.embedded_aws import REPOSITORY, Embedded, until
from local_aws.tools.runtime_image import IMAGE, is_substitute
from local_aws.tools.sam_local import HOST, SAM_FILES
from tests.contract.artifacts import GLOBALS
from tests.sam_local.conftest import SERVED, TYPED
from tests.sam_local.invoking import Answer, Server, Typed, function

_LOOK = """
import json, os, sys
import latchkey
compiled = os.path.exists(json.__cached__)
print(json.dumps({"python": sys.version.split()[0], "layer": os.path.realpath(latchkey.__file__), "compiled": compiled}))
"""

_ATTACK = """
import http.client, json, os
from urllib.parse import urlsplit
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

def status(service, path="/", target=""):
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"} if target else {}
    url = os.environ["AWS_ENDPOINT_URL"]
    request = AWSRequest("POST", url + path, headers=headers, data=b"{}")
    SigV4Auth(Credentials("test", "test"), service, "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request("POST", path, b"{}", dict(request.headers.items()))
    return connection.getresponse().status

print(json.dumps({
    "kms": status("kms", target="TrentService.ListKeys"),
    "lambda": status("lambda", "/2015-03-31/functions"),
    "cloudformation": status("cloudformation", "/?Action=CreateStack"),
    "/_local/calls": status("kms", "/_local/calls"),
}))
"""


def docker(*arguments: str) -> str:
    """Returns the output of a docker command on both streams."""
    done = subprocess.run(["docker", *arguments], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout


@pytest.fixture(scope="module")
def containers(aws: Embedded, answers: dict[str, Answer]) -> dict[str, Any]:
    """The `docker inspect` output of the containers of this run by function. A killed run can have left other containers."""
    endpoint = f"AWS_ENDPOINT_URL=http://{HOST}:{aws.url.rpartition(':')[2]}"
    candidates = [one for one in json.loads(docker("inspect", *docker("ps", "-q").split())) if endpoint in one["Config"]["Env"]]
    built = f"{REPOSITORY}/.aws-sam/build/"
    code = {one["Id"]: [m["Source"] for m in one["Mounts"] if m["Destination"] == "/var/task"] for one in candidates}
    ours = [(source.removeprefix(built), one) for one in candidates for source in code[one["Id"]] if source.startswith(built)]
    found = dict(ours)
    assert len(found) == len(ours)
    return found


def test_every_function_has_a_container_with_its_code(containers: dict[str, Any]) -> None:
    assert set(containers) == {function(name) for name in SERVED}


def test_make_local_reports_no_missing_engine_or_image(aws: Embedded, answers: dict[str, Answer]) -> None:
    assert "sam local needs" not in aws.log()


def test_every_sam_local_invoke_has_its_own_container(containers: dict[str, Any], typed: dict[str, Typed]) -> None:
    ids = {line.container for line in typed.values()}

    assert len(ids) == len(TYPED)
    assert ids.isdisjoint(one["Id"] for one in containers.values())


RUNS = ("END RequestId: ", "REPORT RequestId: ")


def runs(log: str) -> int:
    """Returns the number of complete invocations in a log."""
    return min(log.count(line) for line in RUNS)


@pytest.fixture(scope="module")
def logs(containers: dict[str, Any]) -> dict[str, str]:
    """The log of each container by function. sam only shows what is logged after it attaches."""
    return {name: until(partial(_two_runs, one["Id"]), f"the ends of {name}'s runs") for name, one in containers.items()}


def _two_runs(container: str) -> str:
    log = docker("logs", container)
    return log if runs(log) >= 2 else ""  # the end of an invocation can be logged after its response


def test_runtime_logs_every_invocation(logs: dict[str, str]) -> None:
    assert {runs(log) for name, log in logs.items() if name != "ListGrantsFunction"} == {
        2
    }  # the AWS CLI invokes ListGrantsFunction, too


def test_sam_reports_handler_and_runtime(typed: dict[str, Typed]) -> None:
    assert all(f"Invoking {GLOBALS['Handler']} ({GLOBALS['Runtime']})" in one.log for one in typed.values())


def test_container_has_handler_and_function_name_of_the_template(containers: dict[str, Any]) -> None:
    for name, one in containers.items():
        environment = set(one["Config"]["Env"])
        assert {f"AWS_LAMBDA_FUNCTION_HANDLER={GLOBALS['Handler']}", f"AWS_LAMBDA_FUNCTION_NAME={name}"} <= environment


def test_container_has_the_layer_in_opt_and_the_python_of_the_template(containers: dict[str, Any]) -> None:
    one = containers["CreateSecretFunction"]
    found = json.loads(docker("exec", "-e", "PYTHONPATH=/opt/python", one["Id"], "/var/lang/bin/python3.13", "-c", _LOOK))

    assert f"python{found['python']}".startswith(f"{GLOBALS['Runtime']}.")
    assert found["layer"] == "/opt/python/latchkey/__init__.py"
    assert found["compiled"] or not is_substitute()
    base, image = docker("image", "inspect", "-f", "{{json .RootFS.Layers}}", IMAGE, one["Image"]).splitlines()
    assert json.loads(image)[: len(json.loads(base))] == json.loads(base)


def test_container_has_the_credentials_of_the_developer(aws: Embedded, containers: dict[str, Any]) -> None:
    callers = {call["principal"] for call in aws.control("GET", "calls") if call["operation"] == "RestoreSecret"}

    assert callers == {"arn:aws:iam::000000000000:root"}
    assert all("AWS_ACCESS_KEY_ID=defaultkey" in one["Config"]["Env"] for one in containers.values())


def tokens(aws: Embedded) -> set[str]:
    """Returns the values of all secrets of the account."""
    client = aws.client("secretsmanager")
    listed = [secret["ARN"] for page in client.get_paginator("list_secrets").paginate() for secret in page["SecretList"]]
    values = [json.loads(client.get_secret_value(SecretId=arn)["SecretString"]) for arn in listed]
    return {token for value in values for token in value.values()}


def test_no_output_contains_a_token(
    aws: Embedded, answers: dict[str, Answer], typed: dict[str, Typed], servers: list[Server], logs: dict[str, str]
) -> None:
    printed = [
        json.dumps(answers),
        aws.log(),
        *(server.log() for server in servers),
        *logs.values(),
        *(line.log for line in typed.values()),
    ]

    # Generated ones, and the UUID of a CDN that a sample request imports.
    assert {len(token) for token in tokens(aws)} == {36, 40}
    assert [token for token in tokens(aws) if any(token in text for text in printed)] == []


def test_containers_cannot_create_functions_on_this_machine(aws: Embedded, containers: dict[str, Any]) -> None:
    environment = [f"-eAWS_{name}=test" for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")]
    one = containers["CreateSecretFunction"]
    output = docker("exec", *environment, "-ePYTHONPATH=/opt/python", one["Id"], "/var/lang/bin/python3.13", "-c", _ATTACK)

    assert json.loads(output) == {"kms": 200, "lambda": 403, "cloudformation": 403, "/_local/calls": 403}


def test_second_make_local_does_not_change_the_files_of_the_first(aws: Embedded) -> None:
    before = {path: path.read_text() for path in SAM_FILES.iterdir()}

    second = subprocess.run(
        [sys.executable, "-m", "local_aws", "--port", "0", "--deploy", "--develop"],
        check=False, cwd=REPOSITORY, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert second.returncode == 1
    assert len(second.stderr.splitlines()) == 2
    assert {path: path.read_text() for path in SAM_FILES.iterdir()} == before
