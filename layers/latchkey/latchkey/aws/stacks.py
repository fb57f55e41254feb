"""CloudFormation stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latchkey.aws.pages import read_pages

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient


def is_rolling_back(cloudformation: CloudFormationClient, stack_id: str) -> bool:
    """Whether CloudFormation restores the former state of a stack after an update that failed or was canceled.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
    """
    pages = read_pages(cloudformation.describe_stacks, StackName=stack_id)
    return any(stack["StackStatus"].startswith("UPDATE_ROLLBACK_") for page in pages for stack in page["Stacks"])
