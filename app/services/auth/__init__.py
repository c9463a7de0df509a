"""Logins, login sessions, passwords, second factors, API tokens, and limits on failed logins."""
