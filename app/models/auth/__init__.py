"""Tables for login sessions, API tokens, login attempts, password links and second factors."""
