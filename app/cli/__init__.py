"""Commands for operators: `python -m app.cli NAME`. They call services, as routers do."""

import os

from app.core.observability.metrics_directory import FOLDER

os.environ.pop(FOLDER, None)  # the settings may be the service's; commands count nothing into its folder
