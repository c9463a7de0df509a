"""Code without knowledge of the domain: settings, databases, security, the server, time."""
