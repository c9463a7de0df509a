"""Tokens, passwords, encryption, the hash chain, and their keys."""
