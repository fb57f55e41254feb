"""The emulated account, its Region and the credentials of its root user."""

ACCOUNT, REGION = "000000000000", "us-east-1"
ROOT_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
