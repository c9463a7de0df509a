"""Team report, personal report, hours by group, and the users who are clocked in."""
