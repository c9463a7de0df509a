"""Check the health of a running server: `check_backend.py [--url URL] [--timeout SECONDS]`.

It is the same as `time-tracking check`, and needs only the standard library.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # not there with `python -I`

from app.cli.check import main

if __name__ == "__main__":
    sys.exit(main())
