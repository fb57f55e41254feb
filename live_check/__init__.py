"""`make live-check`: tries what AWS does not document in an AWS account, and records what it finds. See docs/live-check.md."""
