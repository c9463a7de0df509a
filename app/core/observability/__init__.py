"""Logs, metrics and free disk space."""
