"""Dependencies of endpoints: transactions, the caller, parameters, streamed answers."""
