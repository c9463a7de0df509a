"""Logins, sessions, passwords, second factors and API tokens."""
