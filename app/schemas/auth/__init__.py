"""Requests and answers of logins, sessions, passwords, second factors and API tokens."""
