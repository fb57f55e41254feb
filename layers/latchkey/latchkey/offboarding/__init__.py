"""The offboarding of an access: its resource stops reading the secret, and what served only this access is removed."""
