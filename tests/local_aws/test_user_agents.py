"""The user agent of botocore, built once from each part."""

import subprocess
import sys

from local_aws.tools.embedded_aws import REPOSITORY

# Prints the user agent that a client sends, before and after.
_SENT = """
import boto3
from local_aws.emulator import user_agents

def sent():
    found = []
    client = boto3.client("kms", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    client.meta.events.register("before-send", lambda request, **_: found.append(request.headers["User-Agent"]) or STOP)
    try:
        client.list_keys()
    except Exception:
        pass
    return found

STOP = None
from botocore.awsrequest import AWSResponse
STOP = AWSResponse("http://aws.invalid", 200, {}, type("Raw", (), {"stream": lambda self: [b"{}"]})())
before = sent()
user_agents.remember()
assert before and sent() == sent() == before, (before, sent())
"""


def test_the_user_agent_stays_the_same() -> None:
    subprocess.run([sys.executable, "-c", _SENT], cwd=REPOSITORY, check=True)
