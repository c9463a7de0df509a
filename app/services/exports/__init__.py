"""Exports of time entries: one list of columns, three formats (CSV, XLSX, JSON lines)."""
