"""Providers that the demonstrations call: real HTTP servers, one process each, over one SQLite database.

Because a provider is a process, "down" is a killed process and "hangs" is a stopped one; because all of them write to
one database, what really happened can be counted there, whatever an agent reports.
"""
