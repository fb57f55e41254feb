"""Gives a media service exactly one key to one secret, proves that it works, and revokes it."""
