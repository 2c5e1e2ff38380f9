"""`python -m meshlib` is the command `meshlib`."""

import sys

from meshlib.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
