"""What is wrong with recorded accesses, by kind. Pure: evidence in, findings out."""

from latchkey.access.findings.access import findings_of_access, findings_of_remains
from latchkey.access.findings.catalog import CATALOG, FindingFacts
from latchkey.access.findings.circumstances import Circumstances, Remains
from latchkey.access.findings.finding import attributed, due_repairs, finding, identity_of, unresolved
from latchkey.access.findings.inventory import InventoriedAccess, Inventory, findings_of_inventory
from latchkey.events.findings import Finding, FindingKind, Remediation, Severity

__all__ = [
    "CATALOG",
    "Circumstances",
    "Finding",
    "FindingFacts",
    "FindingKind",
    "InventoriedAccess",
    "Inventory",
    "Remains",
    "Remediation",
    "Severity",
    "attributed",
    "due_repairs",
    "finding",
    "findings_of_access",
    "findings_of_inventory",
    "findings_of_remains",
    "identity_of",
    "unresolved",
]
