"""Code that runs around every request: limits on bodies, headers, errors as answers."""
