"""Schemas of logins, login sessions, passwords, second factors and API tokens."""
