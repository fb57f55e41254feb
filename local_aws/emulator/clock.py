"""The clock that dates grants and source locations."""

import time
from datetime import UTC, datetime

from local_aws.emulator.assumptions import CURRENT


def seconds() -> float:
    """Returns the seconds since 1970, or the value of `clockSeconds` if that is set."""
    fixed = CURRENT.value.clock_seconds
    return time.time() if fixed is None else fixed


def now() -> datetime:
    return datetime.fromtimestamp(seconds(), UTC)
