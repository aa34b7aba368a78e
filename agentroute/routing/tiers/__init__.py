"""Which tier of a model step is taken: chances to be right, turned into weights on the graph."""
