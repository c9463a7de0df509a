"""What knows nothing of the domain: settings, databases, security, the server, time."""
