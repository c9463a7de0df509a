"""HTTP: routers, and code around them. It decides nothing; services do."""
