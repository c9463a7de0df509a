"""Schemas of the health checks, the welcome message and the backup manifest."""
