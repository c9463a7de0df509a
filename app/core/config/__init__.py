"""Settings and their types."""
