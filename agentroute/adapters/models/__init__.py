"""Language models: one structured call, priced before it is made; and model steps as tools."""
