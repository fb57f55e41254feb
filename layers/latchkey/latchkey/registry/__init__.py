"""The state of the stack in DynamoDB: requests, accesses, resources, locks, the journal of changes, and revocations."""

from latchkey.registry.registry import Registry, registry

__all__ = ["Registry", "registry"]
