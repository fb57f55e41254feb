"""Environment variables of the process: MiniStack reads them when it is imported, and functions inherit them."""

import os

from local_aws.emulator.account import ACCOUNT, REGION, ROOT_CREDENTIALS

_UNWANTED = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "LOCALSTACK_HOSTNAME", "SERVICES")


def configure_environment(port: int) -> None:
    """Sets the environment of this process for an emulator on `port`. Call it before the first import of MiniStack."""
    # Functions import from one shared layer. Bytecode files next to it halve the time of a cold start.
    for name in (*_UNWANTED, "PYTHONDONTWRITEBYTECODE"):
        os.environ.pop(name, None)
    os.environ |= ROOT_CREDENTIALS | {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",  # for the clients of the functions
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
