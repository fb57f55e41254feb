"""`python -m latchkey_cli`: the same as `latchkey`."""

import sys

from latchkey_cli.main import main

sys.exit(main())
