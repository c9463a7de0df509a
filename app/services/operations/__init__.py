"""Backups, their manifest, and the company of the demo."""
