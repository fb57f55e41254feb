"""Models of the AWS media services that MiniStack does not have, and the HTTP origin that they serve from."""
