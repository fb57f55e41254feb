"""Onboarding: from a request to a validated access, or to a complete rollback."""
