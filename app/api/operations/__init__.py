"""Health checks, metrics and the greeting: outside `/api/v1`."""
