"""Schemas of reports and exports."""
