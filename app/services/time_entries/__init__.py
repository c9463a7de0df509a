"""Clocking in and out, manual entries and corrections, lists and histories."""
