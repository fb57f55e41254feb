"""Compares every recorded access with its request, and repairs what differs if that is its mode."""
