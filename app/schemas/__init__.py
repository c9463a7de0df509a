"""Requests and answers, every field bounded."""
