"""The resources under `/api/v1`. None knows another."""
