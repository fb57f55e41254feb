"""One access: what should be true, what is true, and the checks that compare the two."""
