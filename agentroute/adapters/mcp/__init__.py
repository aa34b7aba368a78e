"""Tools of MCP servers: one connection per server, kept open and started again when it breaks."""
