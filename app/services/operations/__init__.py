"""Backups and their manifest, the company of the demo, and the start of the service."""
