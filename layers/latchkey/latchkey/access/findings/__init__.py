"""What is wrong with recorded accesses, by kind. Pure: evidence in, findings out."""

from latchkey.access.findings.catalog import CATALOG, FindingFacts
from latchkey.access.findings.finding import attributed, due_repairs, finding
from latchkey.access.findings.inventory import InventoriedAccess, Inventory, findings_of_inventory
from latchkey.events.findings import Finding, FindingKind, Remediation, Severity

__all__ = [
    "CATALOG",
    "Finding",
    "FindingFacts",
    "FindingKind",
    "InventoriedAccess",
    "Inventory",
    "Remediation",
    "Severity",
    "attributed",
    "due_repairs",
    "finding",
    "findings_of_inventory",
]
