"""The acting user, visibility, and locks on users: the first questions of every use case."""
