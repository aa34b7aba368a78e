"""``python -m agentroute``: the same as the command ``agentroute``."""

from agentroute.cli.main import main

if __name__ == "__main__":
    main()
