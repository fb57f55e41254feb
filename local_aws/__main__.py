"""`python -m local_aws [--port 4566] [--deploy]`: an AWS account on one port of this machine, in the foreground."""

import argparse
import asyncio
import os
import signal
import socket
import sys
from typing import IO

from local_aws.emulator.account import ROOT_CREDENTIALS
from local_aws.emulator.environment import configure_environment
from local_aws.tools.clone_lock import LockedError, lock_clone


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local_aws", description=__doc__)
    parser.add_argument("--port", type=int, default=4566, help="the port to listen on; 0 chooses a free port")
    parser.add_argument("--deploy", action="store_true", help="deploy the built template as the stack latchkey")
    parser.add_argument(
        "--develop", action="store_true", help="with --deploy: create sample data, support sam local, reload changed code"
    )
    parser.add_argument("--samples", action="store_true", help="with --deploy: create sample data only")
    options = parser.parse_args()
    locked = _lock_clone() if options.develop else None
    listener = _listen(options.port)
    port = listener.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    configure_environment(port)
    from local_aws.tools.lifecycle import run  # MiniStack reads the environment when it is imported

    exports = {"AWS_ENDPOINT_URL": endpoint} | ROOT_CREDENTIALS
    samples = options.samples or options.develop
    running = run(listener, endpoint, deploy=options.deploy, develop=options.develop, samples=samples, exports=exports)
    status = asyncio.new_event_loop().run_until_complete(running)
    if locked:
        locked.close()
    # Threads of MiniStack can still wait for a function or a timer. There is nothing left for them to do.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _lock_clone() -> IO[str]:
    try:
        return lock_clone()
    except LockedError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()  # clients that connect before the server accepts wait instead of being refused
    except OSError as error:
        print(f"Cannot listen on port {port} of 127.0.0.1: {error.strerror}.", file=sys.stderr)
        print(f"Stop the process that uses the port, or choose another one: make local PORT={port + 1}", file=sys.stderr)
        raise SystemExit(1) from None
    return listener


if __name__ == "__main__":
    # Until the server handles these signals, they end the process with status 0, too.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: os._exit(0))
    main()
