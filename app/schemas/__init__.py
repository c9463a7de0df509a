"""Schemas of requests and responses. Every field has a limit."""
