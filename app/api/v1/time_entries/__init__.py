"""Clocking in and out, manual entries and corrections, and entries as they are read."""
