"""Users: administration, import, the first admin, and the data stored about one."""
