"""Requests and answers of reports and exports."""
