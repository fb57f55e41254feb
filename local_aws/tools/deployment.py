"""The deployment of the built template to an emulator. `sam package` runs once per build, and every account uses its result.

Packaging takes more CPU time than the creation of the stack, and the result is the same for each account. The stack is created
as `sam deploy` creates it: with a change set, the parameters of samconfig.toml and the packaged template in an S3 bucket.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from botocore.exceptions import WaiterError

from local_aws.emulator.account import ACCOUNT, REGION
from local_aws.tools.embedded_aws import REPOSITORY, STACK, root_credentials, session

BUCKET = "latchkey-local-artifacts"
_SAM = REPOSITORY / ".aws-sam"
_CONFIG = REPOSITORY / "samconfig.toml"
_BUCKET = "bucket.invalid"  # stands for the bucket of an account
_ENDPOINT = "http://endpoint.invalid"  # stands for the endpoint of an account, of which URLs of templates consist
_PARENT_PATH = re.compile(r"(?<![\w./])\.\./[\w./-]+")
_WAITING = {"Delay": 1, "MaxAttempts": 300}
_FOLDERS_KEPT = 2  # the present package, and the former one, which a running process can still use


class DeploymentError(Exception):
    """The stack was not deployed. The message says why."""


@dataclass(frozen=True)
class Package:
    """The template that `sam package` writes, and the objects that it refers to, by key."""

    template: str
    objects: dict[str, bytes]


def deploy(
    endpoint: str, account: str = ACCOUNT, region: str = REGION, parameters: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Deploys the build to an account and Region of the emulator at `endpoint`. Raises DeploymentError.

    `parameters` replace those of samconfig.toml.
    """
    root: Any = session(root_credentials(account), region)
    s3 = root.client("s3", endpoint_url=endpoint)
    # Names of buckets are unique across accounts.
    bucket = BUCKET if (account, region) == (ACCOUNT, REGION) else f"{BUCKET}-{account}-{region}"
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html: us-east-1 is not a location constraint.
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=bucket, **where)
    package = packaged(_SAM / "build", _SAM / "packaged", lambda: _package(endpoint, s3, bucket, account))
    # The template can be packaged for another bucket, which has the same objects.
    template = package.template.replace(_ENDPOINT, endpoint).replace(_BUCKET, bucket)
    key = f"{hashlib.sha256(template.encode()).hexdigest()}.template"
    for name, content in (package.objects | {key: template.encode()}).items():
        s3.put_object(Bucket=bucket, Key=name, Body=content)
    _create_stack(root.client("cloudformation", endpoint_url=endpoint), f"{endpoint}/{bucket}/{key}", parameters)


def packaged(build: Path, folder: Path, package: Callable[[], Package]) -> Package:
    """Returns the package of a build from `folder`. If it has none, calls `package` and saves the result there.

    Only one process packages at a time; the others then use its result.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = folder / _content_hash(build)
    with _locked(folder / "lock"):
        if own.exists():
            return _read(own)
        made = package()
        _save(made, own)
        _delete_all_but_newest(folder)
        return made


def _content_hash(build: Path) -> str:
    """Returns a hash of the names and the content of all files in a build, and of what stands for bucket and endpoint."""
    found = hashlib.sha256(f"{_BUCKET} {_ENDPOINT}".encode())
    files = [file for file in build.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    for file in sorted([*files, *_outside(build)]):
        with file.open("rb") as content:
            name = file.relative_to(build, walk_up=True)
            found.update(f"{name}\0{hashlib.file_digest(content, 'sha256').hexdigest()}\0".encode())
    return found.hexdigest()[:32]


def _outside(build: Path) -> Iterator[Path]:
    """The files outside a build to which its template refers: `sam build` does not copy the definitions of state machines."""
    for path in sorted({*_PARENT_PATH.findall((build / "template.yaml").read_text())}):
        if (file := (build / path).resolve()).is_file():
            yield file


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    with file.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(folder: Path) -> Package:
    objects = {file.name: file.read_bytes() for file in (folder / "objects").iterdir()}
    return Package((folder / "template.json").read_text(), objects)


def _save(package: Package, folder: Path) -> None:
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "objects").mkdir(parents=True)
    (unfinished / "template.json").write_text(package.template)
    for name, content in package.objects.items():
        (unfinished / "objects" / name).write_bytes(content)
    unfinished.rename(folder)


def _delete_all_but_newest(folder: Path) -> None:
    packages = sorted((found for found in folder.iterdir() if found.is_dir()), key=lambda found: found.stat().st_mtime)
    for found in packages[:-_FOLDERS_KEPT]:
        shutil.rmtree(found, ignore_errors=True)


def _package(endpoint: str, s3: Any, bucket: str, account: str) -> Package:
    """Runs `sam package` against an account, and reads what it uploaded."""
    credentials = root_credentials(account)
    with tempfile.NamedTemporaryFile(suffix=".json") as template:
        flags = ("--config-env", "local", "--s3-bucket", bucket, "--use-json", "--output-template-file", template.name)
        # sam looks for its configuration next to the template, which is in the build folder.
        paths = ("--template-file", str(_SAM / "build/template.yaml"), "--config-file", str(_CONFIG))
        command = [_sam(), "package", *paths, *flags]
        environment = os.environ | {
            "SAM_CLI_TELEMETRY": "0",
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_DEFAULT_REGION": s3.meta.region_name,
            "AWS_ENDPOINT_URL": endpoint,
        }
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False, capture_output=True)
        if done.returncode:
            sys.stderr.write((done.stdout + done.stderr).decode(errors="replace"))
            raise DeploymentError(f"the deployment of the stack {STACK} failed; see the output of sam above")
        text = Path(template.name).read_text().replace(endpoint, _ENDPOINT).replace(bucket, _BUCKET)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
    return Package(text, {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys})


def _sam() -> str:
    in_venv = Path(sys.executable).parent / "sam"
    sam = str(in_venv) if in_venv.exists() else shutil.which("sam")
    if sam is None:
        raise DeploymentError("sam is not installed; run `make local`, which installs it")
    return sam


def _create_stack(cloudformation: Any, template_url: str, replaced: Mapping[str, str]) -> None:
    settings = tomllib.loads(_CONFIG.read_text())["local"]["deploy"]["parameters"]
    named_values = (text.partition("=") for text in settings["parameter_overrides"])
    parameters = {name: value for name, _, value in named_values} | dict(replaced)
    named = {"StackName": STACK, "ChangeSetName": "first"}
    cloudformation.create_change_set(
        **named,
        ChangeSetType="CREATE",
        TemplateURL=template_url,
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        Capabilities=settings["capabilities"].split(),
    )
    try:
        cloudformation.get_waiter("change_set_create_complete").wait(**named, WaiterConfig=_WAITING)
        cloudformation.execute_change_set(**named)
        cloudformation.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig=_WAITING)
    except WaiterError as error:
        answer = error.last_response
        reasons = [str(answer["StatusReason"])] if answer.get("StatusReason") else list(_failures(cloudformation))
        raise DeploymentError("\n".join((f"the deployment of the stack {STACK} failed:", *reasons))) from None


def _failures(cloudformation: Any) -> Iterator[str]:
    for page in cloudformation.get_paginator("describe_stack_events").paginate(StackName=STACK):
        for event in page["StackEvents"]:
            if event["ResourceStatus"].endswith("_FAILED"):
                yield f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', event['ResourceStatus'])}"
