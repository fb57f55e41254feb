"""The AWS APIs: clients, errors, and reads of one kind of resource each."""
