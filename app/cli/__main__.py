"""`python -m app.cli NAME`, the same as `time-tracking NAME`."""

from app.cli import main

if __name__ == "__main__":
    main()
