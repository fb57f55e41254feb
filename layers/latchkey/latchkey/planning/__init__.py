"""Plans of requests: the flows run with clients that record changes instead of making them."""
