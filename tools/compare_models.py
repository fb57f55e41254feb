"""Compares the newest botocore models of the operations that Latchkey calls with the installed ones.

    python tools/compare_models.py [--newest FOLDER] [--accepted FILE]

FOLDER is the folder `data` of a botocore package. Without it, the newest package is downloaded. Documentation is not
compared. FILE lists differences that were reviewed, one a line. The exit status is 1 for any other difference, and for a
line of FILE that is no difference any longer.
"""

import argparse
import ast
import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore
from botocore import xform_name
from botocore.utils import deep_merge

ROOT = Path(__file__).parents[1]
ACCEPTED = Path("tools/accepted_model_changes.txt")
_PACKAGE = ROOT / "layers/latchkey/latchkey"
# Operations that the package adds to the installed models.
_ADDED = _PACKAGE / "aws/api_models"
SERVICES = (
    "cloudformation",
    "dynamodb",
    "events",
    "iam",
    "kms",
    "mediaconnect",
    "mediapackage",
    "mediapackage-vod",
    "mediapackagev2",
    "mediatailor",
    "s3",
    "secretsmanager",
    "ssm",
    "stepfunctions",
)
# The parameters utility of Powertools calls these.
_BY_LIBRARIES = {"ssm": {"GetParameter"}}
# Of a shape or an operation, what does not change how it is called.
_IGNORED = {"documentation", "documentationUrl", "examples"}


def main(arguments: list[str]) -> int:
    """Prints every difference that nobody has accepted, and every accepted one that does not exist. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--newest", type=Path, help="the folder data of another botocore package")
    parser.add_argument("--accepted", type=Path, default=ROOT / ACCEPTED, help="the file with the accepted differences")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = differences(_installed(), options.newest or _download(folder))
    lines = (line.strip() for line in options.accepted.read_text(encoding="utf-8").splitlines())
    accepted = [line for line in lines if line and not line.startswith("#")]
    problems = [line for line in found if line not in accepted]
    problems += [f"no longer a difference: {line}" for line in accepted if line not in found]
    print(*problems, sep="\n", end="\n" if problems else "")
    return int(bool(problems))


def differences(present: Path, newest: Path) -> list[str]:
    """The differences between the models in two folders, one line each: service, operation, path and both values."""
    return [
        f"{service} {operation}: {difference}"
        for service, operations in operations_used().items()
        for before, after in [(model_of(present, service), model_of(newest, service))]
        for operation in sorted(operations)
        for difference in _compared(_call(before, operation), _call(after, operation))
    ]


def operations_used() -> dict[str, set[str]]:
    """The operations by service. A name in the source that is a method of several services counts for each of them."""
    names = {
        node.attr if isinstance(node, ast.Attribute) else str(node.value)
        for path in _PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute | ast.Constant)
    }
    return {
        service: {operation for operation in model_of(_installed(), service)["operations"] if xform_name(operation) in names}
        | _BY_LIBRARIES.get(service, set())
        for service in SERVICES
    }


def _installed() -> Path:
    return Path(botocore.__file__).parent / "data"


def _download(folder: str) -> Path:
    """The folder `data` of the newest botocore package."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", folder, "botocore"]
    subprocess.run(command, check=True)  # noqa: S603  no argument comes from outside
    return Path(folder, "botocore", "data")


def model_of(data: Path, service: str) -> dict[str, Any]:
    """The model of a service in a folder; of the installed botocore, with the operations that the package adds to it."""
    newest = max(version for version in (data / service).iterdir() if (version / "service-2.json.gz").exists())
    with gzip.open(newest / "service-2.json.gz", "rt", encoding="utf-8") as file:
        model: dict[str, Any] = json.load(file)
    if data == _installed() and (added := _ADDED / service / newest.name / "service-2.latchkey-extras.json").exists():
        deep_merge(model, json.loads(added.read_text(encoding="utf-8"))["merge"])
    return model


def _call(model: dict[str, Any], operation: str) -> Any:
    """Everything about an operation that decides how it is called: its binding, its input and output, and its errors."""
    if operation not in model["operations"]:
        return "no such operation"
    described = _plain(model["operations"][operation])
    for part in ("input", "output"):
        if part in described:
            described[part] |= {"of": _expanded(model["shapes"], described[part]["shape"], ())}
    described["errors"] = sorted(error["shape"] for error in described.get("errors", []))
    return described


def _expanded(shapes: dict[str, Any], name: str, above: tuple[str, ...]) -> Any:
    """A shape with the shapes of its members in their place. A shape that contains itself ends at its name."""
    if name in above:
        return name
    shape = _plain(shapes[name])
    for part in ("member", "key", "value"):
        if part in shape:
            shape[part] |= {"of": _expanded(shapes, shape[part]["shape"], (*above, name))}
    for member in shape.get("members", {}).values():
        member |= {"of": _expanded(shapes, member["shape"], (*above, name))}
    return shape


def _plain(node: Any) -> Any:
    """A copy without documentation. The names of members are no attributes of the shape."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        name: {member: _plain(value) for member, value in item.items()} if name == "members" else _plain(item)
        for name, item in node.items()
        if name not in _IGNORED
    }


def _compared(present: Any, newest: Any, path: str = "") -> Iterator[str]:
    if isinstance(present, dict) and isinstance(newest, dict):
        for name in sorted({*present, *newest}):
            # The shape of a member is compared by its content: renaming it changes no call.
            if name != "shape":
                step = path if name in ("of", "members") else f"{path}.{name}" if path else name
                yield from _compared(present.get(name), newest.get(name), step)
    elif isinstance(present, list) and isinstance(newest, list):
        for change, values in (("lost", set(present) - set(newest)), ("gained", set(newest) - set(present))):
            if values:
                yield f"{path} {change} {', '.join(sorted(values))}"
    elif present != newest:
        yield f"{path or 'operation'} was {_short(present)}, is {_short(newest)}"


def _short(value: Any) -> str:
    """A value on one line. A whole shape is shown by its type."""
    if isinstance(value, dict):
        value = value.get("of", value).get("type", "there")
    return "absent" if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
