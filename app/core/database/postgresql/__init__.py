"""Code that only PostgreSQL needs."""
