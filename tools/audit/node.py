"""Runs the scripts of this folder that use npm packages."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
ENVIRONMENT = ROOT / ".venv-audit/bin"


def run(script: str, request: Any) -> Any:
    """The JSON that a script prints for a JSON request. Raises RuntimeError with its messages if it fails."""
    command = [ENVIRONMENT / "node", FOLDER / script]
    done = subprocess.run(command, input=json.dumps(request), check=False, capture_output=True, text=True, timeout=300)  # noqa: S603  a fixed program
    if done.returncode:
        raise RuntimeError(f"{script}: {done.stderr.strip()}")
    return json.loads(done.stdout)
