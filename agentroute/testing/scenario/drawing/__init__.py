"""Random scenarios from a seed: graphs, faults, and what the first ones cover together."""
