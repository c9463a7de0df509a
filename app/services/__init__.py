"""The rules: plain functions that take a session, raise domain errors and never commit."""
