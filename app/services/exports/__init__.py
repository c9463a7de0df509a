"""Entries as files: one description of columns, three formats."""
