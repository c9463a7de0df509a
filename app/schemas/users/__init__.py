"""Requests and answers of users, their import, and the data stored about one."""
