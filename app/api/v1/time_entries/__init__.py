"""Clocking in and out, manual entries and corrections, and lists of entries."""
