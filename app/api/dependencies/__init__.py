"""Dependencies of endpoints: transactions, authentication, parameters, streamed responses."""
