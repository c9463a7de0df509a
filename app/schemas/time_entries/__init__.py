"""Requests and answers of clocking in and out, manual entries and corrections."""
