"""Authentication, visibility of users, and locks on users."""
