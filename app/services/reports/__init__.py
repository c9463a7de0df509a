"""Reports: hours by day, user, team or project, and the users who are clocked in."""
