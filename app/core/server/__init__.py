"""Parts of a worker process: limits, spooled responses and shared state."""
