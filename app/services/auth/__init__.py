"""Logins, sessions, passwords, second factors, API tokens, and limits on guessing."""
