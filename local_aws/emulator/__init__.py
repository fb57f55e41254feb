"""An emulated AWS account behind one port: MiniStack with its gaps closed, and models of the media services.

Nothing in this package depends on the application that runs on it.
"""
