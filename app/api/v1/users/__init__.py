"""Users as admins keep them, also from CSV; one's own account; the team."""
