"""The resources under `/api/v1`. No resource imports another."""
