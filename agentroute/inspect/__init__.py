"""Reads traces back: for the terminal, and as JSON for programs."""
