"""HTTP: routers, and what is around them. It decides nothing; services do."""
