"""That it was containers: their ids, the runtime's own lines, the layer, Python, the handler and whose credentials."""

import json
import subprocess
from typing import Any

import pytest

from local_aws.embedded import REPOSITORY, Embedded, until
from local_aws.runtime_image import IMAGE
from tests.contract.artefacts import GLOBALS
from tests.sam_local.conftest import SERVED, TYPED
from tests.sam_local.invoking import Answer, Server, Typed, function

_LOOK = """
import json, os, sys
import latchkey
print(json.dumps({"python": sys.version.split()[0], "layer": os.path.realpath(latchkey.__file__)}))
"""


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def containers(answers: dict[str, Answer]) -> dict[str, Any]:
    """By function, what Docker says of the running containers of this repository's build."""
    told = json.loads(docker("inspect", *docker("ps", "-q").split()))
    built = f"{REPOSITORY}/.aws-sam/build/"
    code = {one["Id"]: [m["Source"] for m in one["Mounts"] if m["Destination"] == "/var/task"] for one in told}
    ours = [(source.removeprefix(built), one) for one in told for source in code[one["Id"]] if source.startswith(built)]
    found = dict(ours)
    assert len(found) == len(ours)
    return found


def test_every_function_has_a_container_with_its_own_code(containers: dict[str, Any]) -> None:
    assert set(containers) == {function(name) for name in SERVED}


def test_make_local_finds_nothing_lacking(aws: Embedded, answers: dict[str, Answer]) -> None:
    assert "sam local needs" not in aws.log()


def test_every_typed_line_had_a_container_of_its_own(containers: dict[str, Any], typed: dict[str, Typed]) -> None:
    ids = {line.container for line in typed.values()}

    assert len(ids) == len(TYPED)
    assert ids.isdisjoint(one["Id"] for one in containers.values())


RUNS = ("END RequestId: ", "REPORT RequestId: ")


def runs(servers: list[Server]) -> int:
    """How many runs are told wholly."""
    logs = "".join(server.log() for server in servers)
    return min(logs.count(line) for line in RUNS)


def test_the_runtime_tells_of_every_run(answers: dict[str, Answer], typed: dict[str, Typed], servers: list[Server]) -> None:
    # A server tells of a run after it has answered.
    until(lambda: runs(servers) >= 2 * len(SERVED), "the ends of all runs")
    for one in typed.values():
        assert [one.log.count(line) for line in RUNS] == [1, 1]
    assert all(f"Invoking {GLOBALS['Handler']} ({GLOBALS['Runtime']})" in one.log for one in typed.values())


def test_a_container_is_told_the_handler_and_the_function_of_the_template(containers: dict[str, Any]) -> None:
    for name, one in containers.items():
        told = set(one["Config"]["Env"])
        assert {f"AWS_LAMBDA_FUNCTION_HANDLER={GLOBALS['Handler']}", f"AWS_LAMBDA_FUNCTION_NAME={name}"} <= told


def test_a_container_has_the_layer_at_opt_and_the_python_of_the_template(containers: dict[str, Any]) -> None:
    one = containers["CreateSecretFunction"]
    found = json.loads(docker("exec", "-e", "PYTHONPATH=/opt/python", one["Id"], "/var/lang/bin/python3.13", "-c", _LOOK))

    assert f"python{found['python']}".startswith(f"{GLOBALS['Runtime']}.")
    assert found["layer"] == "/opt/python/latchkey/__init__.py"
    base, image = docker("image", "inspect", "-f", "{{json .RootFS.Layers}}", IMAGE, one["Image"]).splitlines()
    assert json.loads(image)[: len(json.loads(base))] == json.loads(base)


def test_a_container_has_the_developers_credentials_and_no_roles(aws: Embedded, containers: dict[str, Any]) -> None:
    callers = {call["principal"] for call in aws.control("GET", "calls") if call["operation"] == "DeleteSecret"}

    assert callers == {"arn:aws:iam::000000000000:root"}
    assert all("AWS_ACCESS_KEY_ID=defaultkey" in one["Config"]["Env"] for one in containers.values())


def test_no_token_is_printed(aws: Embedded, answers: dict[str, Answer], servers: list[Server]) -> None:
    secrets = aws.client("secretsmanager")
    value = secrets.get_secret_value(SecretId="latchkey/mediatailor/song-origin/token")["SecretString"]
    [token] = json.loads(value).values()

    assert len(token) == 40
    assert token not in json.dumps(answers)
    assert all(token not in server.log() for server in servers)
