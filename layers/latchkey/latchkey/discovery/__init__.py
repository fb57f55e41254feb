"""Discovery: the resources of the account that use a secret and that Latchkey does not manage, and how it would adopt them."""
