"""Commands for operators: `python -m app.cli NAME`. They call services, as routers do."""

import os

from app.core.observability.metrics_directory import MULTIPROC_DIR

os.environ.pop(MULTIPROC_DIR, None)  # the settings may be the service's; commands count nothing into its folder
