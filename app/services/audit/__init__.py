"""The audit log: recording, reading and verifying it."""
