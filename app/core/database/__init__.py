"""Transactions, migrations and SQL, alike on SQLite and PostgreSQL."""
