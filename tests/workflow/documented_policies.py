"""The IAM policies for senders, as docs/security.md shows them."""

import json
import re
from pathlib import Path
from typing import Any

from local_aws.emulator.account import ACCOUNT, REGION

BUS_ARN = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/latchkey-requests"
PAGE = Path(__file__).parents[2] / "docs/security.md"


def sender_policy(source: str) -> str:
    """The policy for senders of one tenant, with the bus and the source of a test in place of the examples."""
    return _policy("sender", source)


def cross_account_statement(source: str, sender: str) -> Any:
    """The statement of the bus policy for a sender in another account, with a bus, a source and a sender of a test."""
    return json.loads(_policy("cross-account", source).replace("arn:aws:iam::444455556666:role/sports-deployment", sender))


def _policy(name: str, source: str) -> str:
    [text] = re.findall(rf"<!-- policy: {name} -->\n```json\n(.+?)```", PAGE.read_text(), re.DOTALL)
    text = str(text).replace("arn:aws:events:us-east-1:111122223333:event-bus/latchkey-requests", BUS_ARN)
    return str(text).replace("latchkey.requests.sports", source)
