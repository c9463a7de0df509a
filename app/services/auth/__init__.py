"""Logins and what they need: sessions, passwords, second factors, API tokens, limits on guessing."""
