"""The effect of each function in its container on the embedded AWS."""

import pytest

from local_aws.tools.embedded_aws import Embedded
from local_aws.tools.outcomes import Outcomes
from tests.sam_local.conftest import EFFECTIVE
from tests.sam_local.effects import EFFECTS
from tests.sam_local.invoking import Answer


@pytest.mark.parametrize("function", EFFECTIVE)
def test_function_in_its_container_has_its_effect(
    aws: Embedded, outcomes: Outcomes, answers: dict[str, Answer], function: str
) -> None:
    assert "errorType" not in answers[function], answers[function]

    EFFECTS[function](aws, outcomes, answers[function])
