"""Agents of those scenarios whose tools need code: postconditions, second sources, servers that want to do harm."""
