"""`python -m local_aws [--port 4566] [--deploy]`: an AWS account on one port of this machine, in the foreground."""

import argparse
import asyncio
import os
import signal
import socket
import sys
from typing import IO

from local_aws.account import ACCOUNT, REGION
from local_aws.claim import ClaimedError, claim

ROOT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local_aws", description=__doc__)
    parser.add_argument("--port", type=int, default=4566, help="0 takes any free port")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets containers reach it too")
    parser.add_argument("--deploy", action="store_true", help="deploy the built template as the stack latchkey")
    parser.add_argument("--develop", action="store_true", help="with the deployed stack: samples, sam local, changed code")
    options = parser.parse_args()
    claimed = _claim() if options.develop else None
    listener = _listen(options.host, options.port)
    port = listener.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    _settle_environment(port)
    from local_aws.running import run  # MiniStack reads the environment when it is imported

    exports = {"AWS_ENDPOINT_URL": endpoint} | ROOT
    running = run(listener, options.host, endpoint, deploy=options.deploy, develop=options.develop, exports=exports)
    status = asyncio.new_event_loop().run_until_complete(running)
    if claimed:
        claimed.close()
    # Threads of MiniStack may still wait for a function or a timer; nothing is left that they could finish.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _claim() -> IO[str]:
    try:
        return claim()
    except ClaimedError as refused:
        print(refused, file=sys.stderr)
        raise SystemExit(1) from None


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # who comes before the server accepts then waits, and is not refused
    except OSError as error:
        print(f"Port {port} on {host} cannot be used: {error.strerror}.", file=sys.stderr)
        print(f"Stop what listens there, or choose another port: make local PORT={port + 1}", file=sys.stderr)
        raise SystemExit(1) from None
    return listener


def _settle_environment(port: int) -> None:
    unwanted = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "LOCALSTACK_HOSTNAME", "SERVICES")
    # With bytecode kept beside the shared layer, cold starts take half as long.
    for name in (*unwanted, "PYTHONDONTWRITEBYTECODE"):
        os.environ.pop(name, None)
    os.environ |= ROOT | {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": REGION,
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_POLL_DELAY": "1",  # seconds between looks at a deployment
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",  # for the functions' own clients
        "AUTH": "true",
        "GATEWAY_PORT": str(port),
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "MINISTACK_HOST": "localhost",
        "PERSIST_STATE": "0",
        "LOCALSTACK_PERSISTENCE": "0",
        "S3_PERSIST": "0",
        "LAMBDA_EXECUTOR": "local",
        "LAMBDA_STRICT": "0",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
    }


if __name__ == "__main__":
    # SIGINT and SIGTERM before the server listens to them end the process the same way.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: os._exit(0))
    main()
