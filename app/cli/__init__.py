"""Commands for operators: `time-tracking NAME`, or `python -m app.cli NAME`. They call services, as routers do."""

import os
import signal
import sys
from importlib import import_module
from types import FrameType

SCRIPTS = {"serve": "app.cli.serve", "check": "app.cli.check"}
"""Commands that parse their own options. They run without the modules of the others, which take a second to load."""


def main() -> None:
    """Run the command that the command line names, and exit."""
    name, *arguments = sys.argv[1:] or [""]
    if name in SCRIPTS:
        sys.exit(run_script(name, arguments))
    # Commands must not write metrics into the service's folder, so this precedes the import of prometheus_client.
    from app.core.observability.metrics_directory import MULTIPROC_DIR  # noqa: PLC0415

    os.environ.pop(MULTIPROC_DIR, None)
    signal.signal(signal.SIGTERM, _handle_sigterm)
    import_module("app.cli.application").app()


def run_script(name: str, arguments: list[str]) -> int:
    """Run one of SCRIPTS, and return its exit code."""
    return int(import_module(SCRIPTS[name]).main(arguments))


def _handle_sigterm(number: int, _frame: FrameType | None) -> None:
    """Raise SystemExit, so that unfinished files are removed. A second signal is ignored during this cleanup."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)
