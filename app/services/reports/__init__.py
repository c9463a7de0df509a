"""Hours added up, and who is clocked in."""
