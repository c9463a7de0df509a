"""Days, weeks and months as instants, zone by zone, and entries cut at their ends."""
