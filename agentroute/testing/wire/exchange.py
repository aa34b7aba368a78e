"""What a proxy sees: where a server listens, and a request that goes to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Address: TypeAlias = tuple[str, int]
"""Host and port on loopback."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that goes to a server of a testbed, as the proxy before it sees it.

    Attributes:
        server: Name of the server.
        method: Such as ``POST``.
        path: With its query.
        headers: By name in lower case.
        body: As it came.
    """

    server: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
