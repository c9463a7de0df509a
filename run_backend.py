"""Start the server: `python run_backend.py [--host HOST] [--port PORT] [--workers N] [--reload]`.

It is the same as `time-tracking serve`.
"""

import sys

from app.cli.serve import main

if __name__ == "__main__":
    sys.exit(main())
