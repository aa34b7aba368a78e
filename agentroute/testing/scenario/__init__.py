"""Scenarios: faults over a run and what must hold of it, from a file to a verdict and a report."""
