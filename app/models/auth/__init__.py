"""Tables of sessions, API tokens, logins, password links and second factors."""
