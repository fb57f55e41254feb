"""A process that imports the large packages of a function's layers once and forks workers. It is run by gaps/cold_starts.py."""

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
from pathlib import Path

from local_aws.emulator import model_files, user_agents

MESSAGE_BYTES = 200_000
# Packages whose import reads no variable that differs between functions.
_PACKAGES = ("boto3", "s3transfer", "pydantic", "aws_lambda_powertools")
# Services of which most functions create a client. Workers read the models of others themselves.
_SERVICES = ("dynamodb", "events", "iam", "kms", "mediatailor", "secretsmanager", "ssm", "stepfunctions")


def _serve(connection: socket.socket, folders: list[str], modules: list[str]) -> None:
    """Imports the packages and modules, then forks a worker for each message, until the emulator ends."""
    sys.path[:0] = folders
    for name in (*_PACKAGES, *modules):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    del sys.path[: len(folders)]
    with contextlib.suppress(ImportError):
        user_agents.remember()
        model_files.remember(_SERVICES)
    gc.freeze()  # collections in the workers leave these modules alone
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended workers leave no zombies
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, MESSAGE_BYTES, 3)
        if not message:
            return
        if pid := os.fork():
            for descriptor in descriptors:
                os.close(descriptor)
            connection.send(str(pid).encode())
            continue
        connection.close()
        _become_worker(descriptors, **json.loads(message))
        return


def _become_worker(descriptors: list[int], script: str, folder: str, environment: dict[str, str]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv, sys.path[0] = [script], str(Path(script).parent)
    exec(compile(Path(script).read_text(), script, "exec"), {"__name__": "__main__", "__file__": script})


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2].split(os.pathsep), sys.argv[3:])
