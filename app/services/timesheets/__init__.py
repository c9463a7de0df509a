"""A month of one user as a PDF."""
