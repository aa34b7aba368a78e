"""PURE: what can be done. Artifacts, tools, goals, and the tool graph that follows from them."""
