"""Code independent of the domain: settings, databases, security, the server, time."""
