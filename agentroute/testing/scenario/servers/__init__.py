"""Real servers of a testbed: proxies before them, signals to their processes, and an agent in a process of its own."""
