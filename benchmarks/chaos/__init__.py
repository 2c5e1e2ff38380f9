"""The soak's parts: servers that misbehave, clients that are rude, a ledger, and who looks for leaks."""
