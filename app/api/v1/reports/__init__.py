"""Hours of a team, one's own days, sums by group, and who is clocked in."""
