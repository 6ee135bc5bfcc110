"""``python -m pybpf``: see :mod:`pybpf.tools`."""

import sys

from pybpf.tools.app import main

if __name__ == "__main__":
    sys.exit(main())
