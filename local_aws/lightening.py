"""`python -m local_aws.lightening`: makes the built layer light, before workers import it and sam packs it for containers.

Of botocore's 450 services only those stay that the package names, and what is imported is compiled. Layers of AWS are left as
they are built: there neither costs anything.
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


def lighten(layer: Path = _LAYER) -> bool:
    """Takes away the models of other services, and compiles the rest; false if a file cannot be compiled."""
    named = _named(layer)
    for service in layer.glob("botocore/data/*/"):
        if service.name not in named:
            shutil.rmtree(service)
    # By content: neither archives nor images keep the times of files exactly.
    return bool(compileall.compile_dir(layer, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH))


def missing(layer: Path) -> list[str]:
    """The services that the package names by now and whose models were taken away."""
    known = {path.name for path in (Path(botocore.__file__).parent / "data").glob("*/")}
    return sorted(name for name in known & _named(layer) if not (layer / "botocore/data" / name).is_dir())


def _named(layer: Path) -> set[str]:
    sources = "".join(path.read_text() for path in layer.glob("latchkey/**/*.py"))
    return set(re.findall(r'"([a-z0-9-]+)"', sources))


if __name__ == "__main__":
    sys.exit(not lighten())
