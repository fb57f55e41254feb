"""Development tools around the emulator: a client for tests, the demo, `make local`, sample data, and containers."""
