"""An AWS for development and tests, in one process: MiniStack, the media services' models, a trail and an origin."""
