"""A process that plays scenarios for a session: ``python -m agentroute.testing.scenario.worker``.

It reads settings from the first line of its standard input and the name of a file from each further one, and answers
each with a record; every line is JSON. It ends when its input does. Processes of their own, so that both cores work,
and so that an agent that takes its process down takes nothing else along.
"""

import json
import os
import sys

from pydantic import TypeAdapter

from agentroute.adapters.clock import SystemClock
from agentroute.adapters.logs import configure
from agentroute.adapters.redaction import Redactor
from agentroute.testing.scenario.lines import RECORD
from agentroute.testing.scenario.theatre import Settings, Theatre

SETTINGS = TypeAdapter(Settings)


def main() -> None:
    """Serve until there is nothing more to do."""
    configure(os.environ, Redactor.from_environment(os.environ))
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what tools print is not an answer
    settings = SETTINGS.validate_json(sys.stdin.buffer.readline())
    with Theatre(settings, SystemClock()) as theatre:
        for line in sys.stdin.buffer:
            record = theatre.run(json.loads(line))
            answers.write(RECORD.dump_json(record) + b"\n")
            answers.flush()


if __name__ == "__main__":
    main()
