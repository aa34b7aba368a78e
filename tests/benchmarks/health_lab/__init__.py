"""The health laboratory: many runs in virtual time against providers that misbehave, and what health made of it."""
