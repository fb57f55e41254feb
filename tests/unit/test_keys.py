"""Reads of KMS keys."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from latchkey.aws.keys import rotation_days
from tests.unit.samples import KEY_ARN


def read(error: str | None = None, **answer: Any) -> int | None:
    """The period of a key for which KMS gives this answer."""
    kms = boto3.client("kms")
    with Stubber(kms) as answers:
        if error:
            answers.add_client_error("get_key_rotation_status", error, http_status_code=400)
        else:
            answers.add_response("get_key_rotation_status", answer, {"KeyId": KEY_ARN})
        return rotation_days(kms, KEY_ARN)


def test_the_rotation_of_a_key_is_read() -> None:
    assert read(KeyRotationEnabled=True, RotationPeriodInDays=180) == 180
    assert read(KeyRotationEnabled=True) == 365
    assert read(KeyRotationEnabled=False, RotationPeriodInDays=180) is None


def test_a_key_whose_material_kms_cannot_rotate_does_not_rotate() -> None:
    assert read("UnsupportedOperationException") is None


def test_a_denied_read_of_the_rotation_is_an_error() -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        read("AccessDeniedException")
