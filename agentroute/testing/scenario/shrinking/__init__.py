"""Scenarios that do not hold, made as small as they can be and still not hold."""
