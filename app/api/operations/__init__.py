"""Health checks, metrics and the welcome message: the endpoints outside `/api/v1`."""
