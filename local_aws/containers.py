"""`python -m local_aws.containers COMMAND`: runs a command with a Docker engine and the runtime image for `sam local`."""

import sys

from local_aws.tools.containers import main

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
