"""Audit records: one for each decision and change, in a chain per access, and their export."""
