"""Commands for operators: `python -m app.cli NAME`. They call services, as routers do."""

import os

from app.core.observability.metrics_directory import MULTIPROC_DIR

os.environ.pop(MULTIPROC_DIR, None)  # commands must not write metrics into the service's folder
