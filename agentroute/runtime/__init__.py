"""ASYNC: the thin shell around the pure core. It calls, waits and records; it decides nothing."""
