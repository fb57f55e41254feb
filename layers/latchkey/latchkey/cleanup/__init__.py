"""Grant cleanup: find grants that no resource needs any more, and revoke them."""
