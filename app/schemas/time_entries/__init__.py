"""Schemas of clocking in and out, manual entries and corrections."""
