"""The parts of the rollback of one request, by what they remove or restore."""
