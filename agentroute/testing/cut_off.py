"""Servers whose clients are cut off on purpose, so that a connection that breaks is nothing to report."""

import sys
from socketserver import BaseServer
from typing import Any, Final

BROKEN: Final = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
"""What it looks like here when the other side has gone. Other errors of the system are a server's own: a file that is
not there, a disk that is full, somebody else who cannot be reached."""


class CutOff(BaseServer):
    """To be put before one of the standard library's servers."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report mistakes in the server's own code, but not connections that were cut."""
        if not isinstance(sys.exc_info()[1], BROKEN):
            super().handle_error(request, client_address)
