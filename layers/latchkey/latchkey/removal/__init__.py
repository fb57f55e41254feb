"""Removes keys, secrets, roles and statements that an access no longer needs. All flows that remove resources use it."""
