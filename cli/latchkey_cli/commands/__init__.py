"""The commands, one module for each group. Importing a module adds its commands."""

from importlib import import_module

# In the order in which `latchkey --help` lists them.
_MODULES = (
    "init",
    "requests",
    "bulk",
    "discover",
    "status",
    "describe",
    "findings",
    "doctor",
    "audit",
    "letters",
    "live_check",
    "completion",
)


def load() -> None:
    """Adds every command."""
    for name in _MODULES:
        import_module(f"{__name__}.{name}")
