"""Exports audit records as JSON Lines, and verifies their chains."""

from latchkey.audit.export_audit import ExportAuditInput, Exported, export_audit
from latchkey.aws import clients
from latchkey.aws.data_bucket import DataBucket
from latchkey.handler import step
from latchkey.registry.audit_records import AuditRecords
from latchkey.settings import settings


@step(ExportAuditInput)
def lambda_handler(event: ExportAuditInput) -> Exported:
    """Returns what was exported, and what is wrong with the chains."""
    audit = AuditRecords(clients.dynamodb(), settings().audit_table)
    return export_audit(event, audit, DataBucket(settings().data_bucket), settings().place)
