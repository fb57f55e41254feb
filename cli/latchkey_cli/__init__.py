"""The command line of Latchkey: it sends requests as events, and reads what is recorded about them."""
