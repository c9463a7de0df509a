"""Timesheets: one month of one user as a PDF."""
