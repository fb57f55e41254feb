"""What should be true, and what is under way: requests, accesses, resources, locks, the journal and revocations."""

from latchkey.registry.registry import Registry, registry

__all__ = ["Registry", "registry"]
