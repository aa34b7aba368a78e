"""PURE: what is allowed. Classes of failure, effects, the budget ledger, the circuit breaker."""
