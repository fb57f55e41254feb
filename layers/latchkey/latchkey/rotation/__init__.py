"""Rotation: a new token for the secret of a recorded access."""
