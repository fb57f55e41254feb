"""Appends an audit record for each decision and change in the registry."""

from latchkey.audit.append_audit_records import Appended, ChangeBatch, append_audit_records
from latchkey.aws import clients
from latchkey.handler import step
from latchkey.registry import registry
from latchkey.registry.audit_records import AuditRecords
from latchkey.settings import settings


@step(ChangeBatch)
def lambda_handler(event: ChangeBatch) -> Appended:
    """Appends the facts of a batch. An error fails the whole batch, which Lambda delivers again."""
    return append_audit_records(event, registry(), AuditRecords(clients.dynamodb(), settings().audit_table))
