"""Administration of users, CSV import and export, the caller's account and team."""
