"""Tests of the page at /app/."""
