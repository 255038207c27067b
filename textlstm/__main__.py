"""`python -m textlstm` is the command `textlstm`."""

import sys

from textlstm.cli import main

if __name__ == "__main__":
    sys.exit(main())
