"""Parts of a worker process: limits, spooled answers, its state."""
