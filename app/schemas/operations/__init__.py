"""Answers of the health checks and the greeting, and the manifest of a backup."""
