"""How long the check waits. All waits of the points go through `Patience`, so that an interruption ends them at once."""

import threading
import time
from collections.abc import Callable

from live_check.answers import StoppedError, UnsettledError

# https://docs.aws.amazon.com/kms/latest/developerguide/grants.html#terms-eventual-consistency and
# https://docs.aws.amazon.com/kms/latest/developerguide/tag-authorization.html: up to five minutes.
CONSISTENCY = 300.0
# New roles, policies and keys are usually effective within seconds, https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html
PROPAGATION = 90.0


class Patience:
    """Waits for one point, which may take `limit` seconds. With `hurry`, every wait is that many times shorter."""

    def __init__(self, stopped: threading.Event, limit: float, hurry: float = 1) -> None:
        self._stopped, self._hurry = stopped, hurry
        self._deadline, self._limit = time.monotonic() + limit, limit

    def seconds(self, documented: float) -> float:
        """Returns the seconds to wait for something that AWS documents to take `documented` seconds."""
        return documented / self._hurry

    def until[T](self, probe: Callable[[], T], documented: float) -> T | None:
        """Polls `probe` for the documented time. Returns its first truthy value, or None if there is none."""
        end = time.monotonic() + self.seconds(documented)
        pause = self.seconds(1)
        while True:
            found = probe()
            if found:
                return found
            if time.monotonic() >= end:
                return None
            self.wait(min(pause, max(end - time.monotonic(), 0.001)))
            pause = min(pause * 1.5, self.seconds(15))

    def wait(self, seconds: float) -> None:
        """Waits. Raises StoppedError if the run is interrupted, and UnsettledError if the time of the point has run out."""
        if self._stopped.wait(max(seconds, 0.01)):
            raise StoppedError
        if time.monotonic() > self._deadline:
            raise UnsettledError(f"The time ran out after {self._limit / 60:g} minutes.")
