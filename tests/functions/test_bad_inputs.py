"""Every function: an invalid input is rejected with paths and rules, and without its values."""

import io
import json
from typing import Any

import pytest

from latchkey.errors import InvalidRequest
from tests.contract.artifacts import FOLDERS as VERBS
from tests.contract.artifacts import ROOT
from tests.functions.account import Account
from tests.functions.onboarding_requests import Run, onboarding

# The functions whose input contains a request.
WITH_REQUEST = [verb for verb in VERBS if "request" in json.loads((ROOT / f"events/functions/{verb}.json").read_text())]
CANARY = "canary"


def refused(run: Run, verb: str, event: dict[str, Any]) -> str:
    with pytest.raises(InvalidRequest) as caught:
        run(verb, event)
    assert caught.value.problems
    return str(caught.value)


@pytest.mark.parametrize("verb", VERBS)
def test_an_input_of_the_wrong_type_is_rejected_without_its_values(
    run: Run, account: Account, log: io.StringIO, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    before = account.snapshot()

    message = refused(
        run, verb, {"request": CANARY, "key": CANARY, "detail": CANARY, "id": {"x": CANARY}, "secretArn": [CANARY]}
    )

    assert CANARY not in message + log.getvalue() + "".join(capsys.readouterr())
    assert "step failed" in log.getvalue()
    assert account.snapshot() == before


@pytest.mark.parametrize("verb", VERBS)
def test_a_missing_input_is_rejected(run: Run, verb: str) -> None:
    assert "is missing" in refused(run, verb, {})


@pytest.mark.parametrize("verb", WITH_REQUEST)
def test_an_invalid_request_is_rejected_without_its_values(run: Run, log: io.StringIO, verb: str) -> None:
    resource = {"baseUrl": f"https://{CANARY}:{CANARY}@origin.example.com", "header": f"x-amz-{CANARY}"}
    bad = onboarding(resource=resource, secret={"value": {"token": CANARY}})

    message = refused(run, verb, {"request": bad})

    assert CANARY not in message + log.getvalue()
    assert "resource.baseUrl" in message


@pytest.mark.parametrize("verb", WITH_REQUEST)
def test_the_request_id_is_the_correlation_id_in_the_log(run: Run, log: io.StringIO, verb: str) -> None:
    refused(run, verb, {"request": onboarding(resource={"header": ""})})

    assert '"correlation_id":"request-1"' in log.getvalue()
