"""The tables: columns and named constraints."""
