"""`python -m local_aws.lightening`: makes the built layer light, before workers import it and sam packs it for containers.

Of what libraries offer for a choice, such as botocore's 450 services, only what the code names stays, and it is compiled.
Layers of AWS are left as they are built: there neither costs anything.
"""

import compileall
import re
import shutil
import sys
from pathlib import Path
from py_compile import PycInvalidationMode

import botocore

from local_aws.embedded import REPOSITORY

_LAYER = REPOSITORY / ".aws-sam" / "build" / "LatchkeyLayer" / "python"
_INSTALLED = Path(botocore.__file__).parent.parent
_SERVICES = "botocore/data/*/"
_MODULES = ("aws_lambda_powertools/event_handler/", "aws_lambda_powertools/utilities/*/", "aws_xray_sdk/ext/", "pydantic/v1/")
# The rest of Powertools imports them.
_SHARED = ("aws_lambda_powertools/utilities/jmespath_utils", "aws_lambda_powertools/utilities/typing")


def lighten(layer: Path = _LAYER) -> bool:
    """Takes away what no code names, and compiles the rest; false if a file cannot be compiled."""
    for part in _optional(layer) - _named(layer):
        shutil.rmtree(layer / part)
    # By content: neither archives nor images keep the times of files exactly.
    return bool(compileall.compile_dir(layer, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH))


def missing(layer: Path) -> list[str]:
    """What the code names by now and was taken away, as `botocore/data/kms`."""
    return sorted(part for part in _named(layer) if not (layer / part).is_dir())


def _optional(libraries: Path) -> set[str]:
    """Every part of these libraries that may go."""
    found = {path.relative_to(libraries).as_posix() for pattern in (_SERVICES, *_MODULES) for path in libraries.glob(pattern)}
    return {part for part in found if not part.endswith("__")}.difference(_SHARED)


def _named(layer: Path) -> set[str]:
    """The optional parts that the package or a function names: services in quotes, and modules that are imported."""
    code = [*layer.glob("latchkey/**/*.py"), *layer.parent.parent.glob("*Function/*.py")]
    sources = "\n".join(path.read_text() for path in code)
    quoted = {f"botocore/data/{name}" for name in re.findall(r'"([a-z0-9-]+)"', sources)}
    imported = tuple(name.replace(".", "/") + "/" for name in _imported(sources))
    return {part for part in _optional(_INSTALLED) if part in quoted or any(name.startswith(f"{part}/") for name in imported)}


def _imported(sources: str) -> set[str]:
    """Every dotted name after an `import`, after a `from` together with that; read as text, since an editor saves halves."""
    whole = re.findall(r"^ *import (.+)", sources, re.MULTILINE)
    parts = re.findall(r"^ *from ([\w.]+) import (\([^)]*\)|.+)", sources, re.MULTILINE)
    names = {name for line in whole for name in re.findall(r"[\w.]+", line)}
    return names | {f"{module}.{name}" for module, line in parts for name in re.findall(r"\w+", line)}


if __name__ == "__main__":
    sys.exit(not lighten())
