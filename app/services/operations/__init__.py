"""Backups and their manifest, the demo company, and the checks before the service starts."""
