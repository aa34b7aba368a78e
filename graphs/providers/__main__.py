"""Start the providers of a domain and leave them running: ``python -m graphs.providers support``.

Prints the line that tells an agent where they are, such as ``export SUPPORT_PROVIDERS='{"crm": ...}'``, and ends with
Ctrl-C. The database, an SQLite file, stays to be looked at.
"""

import argparse
import json
import shlex
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from graphs.providers.supervisor import Providers


def main() -> None:
    """Serve until the user has enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domain", choices=("support", "travel", "moderation"))
    parser.add_argument("--db", type=Path, help="file to make (default: one in a folder of its own)")
    options = parser.parse_args()
    database: Path = (options.db or Path(tempfile.mkdtemp()) / "truth.db").resolve()
    if database.exists():
        parser.error(f"{database} exists; name another file")
    with Providers(options.domain, database) as providers:
        print(f"export {options.domain.upper()}_PROVIDERS={shlex.quote(json.dumps(dict(providers.urls)))}", flush=True)
        print(f"The database is {database}. Stop with Ctrl-C.", file=sys.stderr)
        with suppress(KeyboardInterrupt):
            sys.stdin.read()


if __name__ == "__main__":
    main()
