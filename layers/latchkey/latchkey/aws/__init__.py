"""AWS APIs: clients, errors, and one module for each kind of resource that is read."""
