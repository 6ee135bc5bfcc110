"""`python -m epicsmon`: the command line."""

import sys

from epicsmon.cli import main

if __name__ == "__main__":
    sys.exit(main())
