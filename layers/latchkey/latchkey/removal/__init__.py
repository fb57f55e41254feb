"""Removes keys, secrets, roles and statements that an access no longer needs. Every flow that removes something uses it."""
