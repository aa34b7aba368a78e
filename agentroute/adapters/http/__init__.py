"""HTTP endpoints as tools."""
