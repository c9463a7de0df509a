"""What endpoints ask for: transactions, the caller, parameters, streamed answers."""
