"""Local days, weeks and months as instants, and the split of entries at local midnights."""
