"""The IAM policies for senders, as docs/security.md shows them."""

import re
from pathlib import Path

from local_aws.emulator.account import ACCOUNT, REGION

PAGE = Path(__file__).parents[2] / "docs/security.md"


def sender_policy(source: str) -> str:
    """The policy for senders of one tenant, with the bus and the source of a test in place of the examples."""
    [text] = re.findall(r"<!-- policy: sender -->\n```json\n(.+?)```", PAGE.read_text(), re.DOTALL)
    bus = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/latchkey-requests"
    text = str(text).replace("arn:aws:events:us-east-1:111122223333:event-bus/latchkey-requests", bus)
    return str(text).replace("latchkey.requests.sports", source)
