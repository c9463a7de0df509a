"""What every request passes: limits on bodies, headers, errors as answers."""
