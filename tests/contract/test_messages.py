"""Reviewers read every text that users can see in one place."""

from collections.abc import Callable
from pathlib import Path

from tests.contract.messages import messages


def test_the_golden_file_contains_every_text_that_a_user_can_see(agrees_as_text: Callable[[Path, str], None]) -> None:
    agrees_as_text(Path(__file__).with_name("messages.golden"), messages())
