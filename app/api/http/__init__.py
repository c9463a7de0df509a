"""Code that runs for every request: body limits, common headers, error responses."""
