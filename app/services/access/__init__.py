"""The acting user, visibility, and locks on users. Every other package starts here."""
