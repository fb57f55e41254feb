"""Reads of KMS keys."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from latchkey.aws.keys import rotates
from tests.unit.samples import KEY_ARN


def read(error: str | None = None, **answer: Any) -> bool:
    """Whether a key rotates for which KMS gives this answer."""
    kms = boto3.client("kms")
    with Stubber(kms) as answers:
        if error:
            answers.add_client_error("get_key_rotation_status", error, http_status_code=400)
        else:
            answers.add_response("get_key_rotation_status", answer, {"KeyId": KEY_ARN})
        return rotates(kms, KEY_ARN)


def test_the_rotation_of_a_key_is_read() -> None:
    assert read(KeyRotationEnabled=True)
    assert not read(KeyRotationEnabled=False)


def test_a_key_whose_material_kms_cannot_rotate_does_not_rotate() -> None:
    assert not read("UnsupportedOperationException")


def test_a_denied_read_of_the_rotation_is_an_error() -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        read("AccessDeniedException")
