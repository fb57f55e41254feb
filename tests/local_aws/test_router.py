"""One process on one port: routing, signatures, accounts and Regions, functions, and a clean shutdown."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import zipfile
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_aws.__main__ import _listen
from local_aws.tools.embedded_aws import REPOSITORY, Embedded, until

SLEEPER = "import os, time\ndef handler(event, context):\n    print(os.getpid())\n    time.sleep(60)\n"
LISTER = """import boto3, os
def handler(event, context):
    boto3.client("mediatailor").list_source_locations()
    return {"endpoint": os.environ["AWS_ENDPOINT_URL"], "arn": boto3.client("sts").get_caller_identity()["Arn"]}
"""
ROLE_TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}


def make_function(local: Embedded, name: str, code: str) -> None:
    iam, archive = local.client("iam"), io.BytesIO()
    trust = json.dumps({"Version": "2012-10-17", "Statement": [ROLE_TRUST]})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    statement = {"Effect": "Allow", "Action": "mediatailor:ListSourceLocations", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=name, PolicyName="list", PolicyDocument=document)
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("app.py", code)
    local.client("lambda").create_function(
        FunctionName=name, Runtime="python3.13", Handler="app.handler", Role=role, Timeout=90,
        Code={"ZipFile": archive.getvalue()},
    )  # fmt: skip
    local.client("lambda").get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})


def test_calls_of_a_function_have_its_role(local: Embedded) -> None:
    make_function(local, "lister", LISTER)
    answer = json.load(local.client("lambda").invoke(FunctionName="lister")["Payload"])
    assert answer == {"endpoint": local.url, "arn": "arn:aws:sts::000000000000:assumed-role/lister/lister"}
    counted = [(c["principal"], c["operation"]) for c in local.control("GET", "calls")]
    assert (answer["arn"], "ListSourceLocations") in counted


def test_wrong_signature_is_rejected(local: Embedded) -> None:
    session = local.assume("arn:aws:iam::000000000000:role/MediaTailorManagement")
    held = session.get_credentials()
    assert held is not None
    given = held.get_frozen_credentials()
    forged = boto3.Session(given.access_key, "x" * 40, given.token, region_name="us-east-1")
    with pytest.raises(ClientError) as caught:
        forged.client("mediatailor", endpoint_url=local.url).list_source_locations()
    assert caught.value.response["Error"]["Code"] in ("InvalidSignatureException", "SignatureDoesNotMatch")
    unknown = boto3.Session("AKIAUNKNOWNUNKNOWN00", "x" * 40, region_name="us-east-1")
    with pytest.raises(ClientError) as caught:
        unknown.client("mediatailor", endpoint_url=local.url).list_source_locations()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_accounts_and_regions_are_separate(local: Embedded) -> None:
    name = {"SourceLocationName": "separate"}
    base = {"HttpConfiguration": {"BaseUrl": "https://origin.example.com"}}
    local.client("mediatailor", region_name="eu-north-1").create_source_location(**name, **base)
    other = boto3.Session("111122223333", "test", region_name="eu-north-1")
    for client in (local.client("mediatailor"), other.client("mediatailor", endpoint_url=local.url)):
        assert "separate" not in [item["SourceLocationName"] for item in client.list_source_locations()["Items"]]


def test_missing_operation_is_reported(local: Embedded) -> None:
    with pytest.raises(ClientError, match="does not emulate mediatailor ListChannels") as caught:
        local.client("mediatailor").list_channels()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_port_in_use_is_reported_in_two_lines() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        command = [sys.executable, "-m", "local_aws", "--port", str(port)]
        ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert ended.stdout == ""
    problem, remedy = ended.stderr.splitlines()
    assert str(port) in problem
    assert f"PORT={port + 1}" in remedy


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_process_and_every_child(name: signal.Signals) -> None:
    with Embedded() as local:
        make_function(local, "sleeper", SLEEPER)
        local.client("lambda").invoke(FunctionName="sleeper", InvocationType="Event")
        children = until(local.children, "a worker")
        assert local.end(name) == 0
        assert not [pid for pid in children if _is_alive(pid)]
        assert "Traceback" not in local.log()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_connection_before_the_server_starts_is_accepted() -> None:
    with _listen(0) as listener, socket.create_connection(listener.getsockname(), 5) as caller:
        assert caller.getpeername() == listener.getsockname()


def test_only_requests_of_web_pages_are_answered_with_cors_headers(local: Embedded) -> None:
    kms = local.client("kms", config=Config(retries={"mode": "standard"}, user_agent_extra="page"))
    assert not _cors(kms.list_keys())

    kms.meta.events.register("before-send.kms", lambda request, **_: request.headers.update({"Origin": "http://a.invalid"}))
    assert _cors(kms.list_keys())


def _cors(answer: Any) -> list[str]:
    return [name for name in answer["ResponseMetadata"]["HTTPHeaders"] if name.startswith("access-control-")]
