"""Schemas of timesheets, their rules, the lock date, and payroll."""
