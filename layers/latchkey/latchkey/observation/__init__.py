"""Observes accesses, and records and publishes what changed. The cleanup and the reconciliation use it."""
