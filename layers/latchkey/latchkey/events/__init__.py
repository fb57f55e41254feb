"""The events that Latchkey publishes."""
