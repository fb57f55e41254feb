"""The offboarding of an access: its resource stops reading the secret, and everything that only this access used is removed."""
