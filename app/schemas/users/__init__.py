"""Schemas of users, their import and their personal data."""
