"""Logins, login sessions, passwords, second factors and API tokens."""
