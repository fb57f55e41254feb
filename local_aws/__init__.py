"""An AWS account on one port of this machine, for development and tests. Never deployed.

`emulator` is the account. `tools` deploy the application to it, drive it and watch it.
"""
