"""The clock by which grants and source locations are dated, and new ones stay unseen for a while."""

import time
from datetime import UTC, datetime

from local_aws.assumptions import CURRENT


def seconds() -> float:
    """Since 1970: where `clockSeconds` has set it, it stands."""
    stands = CURRENT.value.clock_seconds
    return time.time() if stands is None else stands


def now() -> datetime:
    return datetime.fromtimestamp(seconds(), UTC)
