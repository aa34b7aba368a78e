"""A graph of a hundred thousand tools, written down and read like any graph file."""

from agentroute.graph.document import parse_graph

TOOLS = 100_000

HEAD = 'version: "1"\nname: large\ntools:\n'
LINES = "".join(f"  - {{name: t{n}, requires: [a{n}], produces: [a{n + 1}]}}\n" for n in range(TOOLS))
FOOT = f"goals:\n  - {{name: end, requires: [a{TOOLS}]}}\n"

agent = parse_graph(HEAD + LINES + FOOT, "large_graph.yaml")
