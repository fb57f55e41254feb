"""The API models of botocore, read once by all sessions."""

import subprocess
import sys

from local_aws.tools.embedded_aws import REPOSITORY

# Compares what a new session reads before and after, and counts the files that it opens.
_READ = """
import botocore.loaders, botocore.session
from local_aws.emulator import model_files

opened = []
read = botocore.loaders.JSONFileLoader._load_file
def noted(self, path, method):
    found = read(self, path, method)
    opened.extend([path] if found is not None else [])
    return found
botocore.loaders.JSONFileLoader._load_file = noted

def models():
    session = botocore.session.Session()
    loader = session.get_component("data_loader")
    keys = {"region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
    session.create_client("kms", **keys), session.create_client("sts", **keys)
    return [loader.load_service_model(service, "service-2") for service in ("kms", "sts")]

before = models()
model_files.remember(["kms", "of-nobody"])
model_files.remember(["kms"])
opened.clear()
assert models() == before
assert opened and all("/sts/" in path for path in opened), opened
opened.clear()
assert models() == before
assert not opened, opened
"""


def test_each_model_is_read_once_and_stays_the_same() -> None:
    subprocess.run([sys.executable, "-c", _READ], cwd=REPOSITORY, check=True)
