"""Time entries: clock-in and clock-out, manual entries and corrections, lists and history."""
