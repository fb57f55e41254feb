"""The built layer keeps what the package names, and is compiled."""

from pathlib import Path

import botocore

from local_aws.embedded import REPOSITORY
from local_aws.lightening import lighten

BUILT = REPOSITORY / ".aws-sam/build/LatchkeyLayer/python"
SOURCE = '"""A package."""\nNAMED = "kms"\n'


def layer(folder: Path) -> Path:
    for service in ("kms", "ec2"):
        (folder / "botocore/data" / service).mkdir(parents=True)
    (folder / "botocore/data/endpoints.json").touch()
    (folder / "latchkey").mkdir()
    (folder / "latchkey/aws.py").write_text(SOURCE)
    return folder


def test_only_services_that_are_named_stay(tmp_path: Path) -> None:
    assert lighten(layer(tmp_path))

    assert sorted(path.name for path in (tmp_path / "botocore/data").iterdir()) == ["endpoints.json", "kms"]


def test_a_file_that_changes_is_not_taken_for_the_compiled_one(tmp_path: Path) -> None:
    lighten(layer(tmp_path))
    [compiled] = (tmp_path / "latchkey/__pycache__").iterdir()

    # Bits 0 and 1 of the flags: by hash, and checked. https://peps.python.org/pep-0552/
    assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b11


def test_what_cannot_be_compiled_is_told(tmp_path: Path) -> None:
    (layer(tmp_path) / "latchkey/wrong.py").write_text("def\n")

    assert not lighten(tmp_path)


def test_the_build_is_light() -> None:
    all_services = {path.name for path in (Path(botocore.__file__).parent / "data").iterdir() if path.is_dir()}
    kept = {path.name for path in (BUILT / "botocore/data").iterdir() if path.is_dir()}

    assert {"kms", "secretsmanager", "dynamodb", "events"} <= kept < all_services
    assert list(BUILT.glob("latchkey/__pycache__/aws.*.pyc"))
