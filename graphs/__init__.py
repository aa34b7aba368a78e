"""Demonstrations of agentroute: agents on real programs, servers and processes."""
