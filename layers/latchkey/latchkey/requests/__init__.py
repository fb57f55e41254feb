"""The requests that Latchkey accepts."""
