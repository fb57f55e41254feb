"""One access: its desired state, its observed state, and the checks that compare them."""
