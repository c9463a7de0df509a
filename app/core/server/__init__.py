"""What a worker process needs to serve: limits, spooled answers, its state."""
