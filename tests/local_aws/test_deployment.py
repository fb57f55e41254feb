"""The deployment of the build: packaged once for each build, and created with the reasons of a failure."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from local_aws.tools import deployment
from local_aws.tools.deployment import DeploymentError, Package, packaged
from local_aws.tools.embedded_aws import STACK, Embedded

PACKAGE = Package('{"Resources": {}}', {"0123abc": b"\0code", "4567def.template": b"{}"})


class _Packaging:
    """Counts how often a build is packaged."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Package:
        self.times += 1
        return PACKAGE


@pytest.fixture
def build(tmp_path: Path) -> Path:
    folder = tmp_path / "build"
    (folder / "Function").mkdir(parents=True)
    (tmp_path / "machine.asl.json").write_text("{}")
    (folder / "template.yaml").write_text("Resources: {Machine: {Properties: {DefinitionUri: ../machine.asl.json}}}")
    (folder / "Function/app.py").write_text("first")
    return folder


def test_a_build_is_packaged_once(build: Path, tmp_path: Path) -> None:
    packaging = _Packaging()

    found = [packaged(build, tmp_path / "packaged", packaging) for _ in range(3)]

    assert found == [PACKAGE] * 3
    assert packaging.times == 1


@pytest.mark.parametrize("name", ["template.yaml", "Function/app.py", "Function/new.py", "../machine.asl.json"])
def test_a_changed_build_is_packaged_again(build: Path, tmp_path: Path, name: str) -> None:
    packaging = _Packaging()
    packaged(build, tmp_path / "packaged", packaging)

    (build / name).write_text("second")

    assert packaged(build, tmp_path / "packaged", packaging) == PACKAGE
    assert packaging.times == 2


def test_processes_that_start_at_once_package_once(build: Path, tmp_path: Path) -> None:
    packaging, barrier = _Packaging(), Barrier(4)

    def start(_: int) -> Package:
        barrier.wait()
        return packaged(build, tmp_path / "packaged", packaging)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(start, range(4))) == [PACKAGE] * 4
    assert packaging.times == 1


def test_an_interrupted_packaging_leaves_nothing_that_is_used(build: Path, tmp_path: Path) -> None:
    def interrupted() -> Package:
        raise DeploymentError("interrupted")

    with pytest.raises(DeploymentError):
        packaged(build, tmp_path / "packaged", interrupted)

    assert packaged(build, tmp_path / "packaged", lambda: PACKAGE) == PACKAGE


def test_old_packages_are_deleted(build: Path, tmp_path: Path) -> None:
    for number in range(5):
        (build / "template.yaml").write_text(str(number))
        packaged(build, tmp_path / "packaged", lambda: PACKAGE)

    assert len([found for found in (tmp_path / "packaged").iterdir() if found.is_dir()]) == 2


def test_a_failed_deployment_names_the_resource(local: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "http://127.0.0.1/no-bucket/no-key"}}
    broken = {"Parameters": {"Architecture": {"Type": "String"}}, "Resources": {"Broken": resource}}
    monkeypatch.setattr(deployment, "packaged", lambda *_: Package(json.dumps(broken), {}))

    with pytest.raises(DeploymentError, match="Broken"):
        deployment.deploy(local.url)
    local.client("cloudformation").delete_stack(StackName=STACK)
