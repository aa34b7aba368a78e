"""Writes a health report of any git repository, through MCP servers, the git program or a pure-Python reader."""
