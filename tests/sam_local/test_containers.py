"""That it was containers: their ids, the runtime's own lines, the layer, Python, the handler and whose credentials."""

import json
import subprocess

from local_aws.embedded import Embedded
from local_aws.runtime_image import IMAGE
from tests.contract.artefacts import FOLDERS, GLOBALS
from tests.sam_local.conftest import Invocation

_LOOK = """
import json, os, sys
import latchkey
print(json.dumps({"python": sys.version.split()[0], "layer": os.path.realpath(latchkey.__file__)}))
"""


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


def test_every_event_had_a_container_of_its_own(invoked: dict[str, Invocation], refused: dict[str, Invocation]) -> None:
    ids = [one.container for one in (*invoked.values(), *refused.values())]

    assert len(set(ids)) == len(ids) == 2 * len(FOLDERS)


def test_the_runtime_tells_of_every_run(invoked: dict[str, Invocation], refused: dict[str, Invocation]) -> None:
    for one in (*invoked.values(), *refused.values()):
        assert "END RequestId: " in one.log
        assert "REPORT RequestId: " in one.log
        assert f"Invoking {GLOBALS['Handler']} ({GLOBALS['Runtime']})" in one.log
        assert "as /var/task:ro" in one.log


def test_the_image_has_the_layer_at_opt_and_the_python_of_the_template(invoked: dict[str, Invocation]) -> None:
    [image] = {
        name for name in docker("images", "--format", "{{.Repository}}:{{.Tag}}").split() if "samcli/lambda-python" in name
    }
    found = json.loads(
        docker("run", "--rm", "-e", "PYTHONPATH=/opt/python", "--entrypoint", "/var/lang/bin/python3.13", image, "-c", _LOOK)
    )

    assert f"python{found['python']}".startswith(f"{GLOBALS['Runtime']}.")
    assert found["layer"] == "/opt/python/latchkey/__init__.py"
    assert docker("image", "inspect", "-f", "{{.Id}}", IMAGE)


def test_a_container_has_the_developers_credentials_and_no_roles(aws: Embedded, invoked: dict[str, Invocation]) -> None:
    callers = {call["principal"] for call in aws.control("GET", "calls") if call["operation"] == "DeleteSecret"}

    assert invoked["undo_onboarding"].answer["undone"]
    assert callers == {"arn:aws:iam::000000000000:root"}


def test_no_token_is_printed(aws: Embedded, invoked: dict[str, Invocation]) -> None:
    secrets = aws.client("secretsmanager")
    value = secrets.get_secret_value(SecretId="latchkey/mediatailor/song-origin/token")["SecretString"]
    [token] = json.loads(value).values()

    assert len(token) == 40
    assert all(token not in one.out + one.log for one in invoked.values())
