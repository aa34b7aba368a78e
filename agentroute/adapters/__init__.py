"""I/O: what reaches outside. Functions, MCP servers, HTTP endpoints, language models, journals, telemetry, files."""
