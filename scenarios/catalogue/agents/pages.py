"""A page is read from one of two servers. One of its pages sends whoever asks to an address inside the network.

The servers are threads: nothing here needs a process that can be killed.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel

from agentroute import Agent, Artifact, Budget, ConfigurationError, Goal, http_tool
from agentroute.testing.cut_off import CutOff
from agentroute.testing.scenario.testbed import Address, Contender, Exchange, Row

SERVERS: Final = ("front", "mirror", "internal")

TEXTS: Final[Mapping[str, str]] = {"/pages/about": "about us", "/pages/moved": "about us, elsewhere"}

Path = Annotated[str, Artifact("path")]


class Page(BaseModel):
    """What a server answers."""

    text: str


class Pages:
    """The testbed. `internal` stands for what only machines inside the network can reach: nobody may ask it."""

    def __init__(self) -> None:
        """Nothing listens yet."""
        self._open = ExitStack()
        self._listening: dict[str, ThreadingHTTPServer] = {}
        self._asked: list[tuple[str, str]] = []

    @property
    def addresses(self) -> Mapping[str, Address]:
        """Where each server listens."""
        return {name: ("127.0.0.1", server.server_port) for name, server in self._listening.items()}

    def __enter__(self) -> Self:
        """Start every server."""
        for name in SERVERS:
            server = _Server(("127.0.0.1", 0), partial(_Handler, self, name))
            thread = Thread(target=server.serve_forever, name=name)
            thread.start()
            for ending in (thread.join, server.server_close, server.shutdown):
                self._open.callback(ending)
            self._listening[name] = server
        return self

    def __exit__(self, *_: object) -> None:
        """End every server."""
        self._open.close()
        self._listening.clear()

    def pid(self, server: str) -> int:
        """There is none.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(f"{server} is a thread; say level: wire")

    def restart(self, server: str) -> None:
        """Nothing dies here."""

    def reset(self) -> None:
        """Forget who asked for what."""
        self._asked.clear()

    def agent(self, addresses: Mapping[str, Address]) -> Agent:
        """Make the agent."""
        tools = [
            http_tool(
                f"fetch_{name}",
                "GET",
                "http://{}:{}/pages/{{path}}".format(*addresses[name]),
                takes={"path": Path},
                returns=Page,
                usd=usd,
                timeout_s=10,
                follow_redirects=True,
                provider=name,
            )
            for name, usd in (("front", 0.001), ("mirror", 0.002))
        ]
        return Agent(
            name="pages", tools=tools, goals=[Goal("read", requires=[Page])], budget=Budget(deadline_s=30), trace=False
        )

    def tool_of(self, exchange: Exchange) -> str | None:
        """Name of the tool that makes such a request."""
        return f"fetch_{exchange.server}" if exchange.server != "internal" else None

    def truth(self) -> Mapping[str, Sequence[Row]]:
        """Requests that each server got."""
        return {name: [{"path": path} for server, path in self._asked if server == name] for name in SERVERS}

    def answer(self, server: str, path: str) -> tuple[int, Mapping[str, str], str]:
        """What a server answers: status, headers, body."""
        self._asked.append((server, path))
        if server == "front" and path == "/pages/moved":
            host, port = self.addresses["internal"]
            return 302, {"Location": f"http://{host}:{port}/latest/meta-data"}, ""
        if path not in TEXTS:
            return 404, {}, ""
        return 200, {"Content-Type": "application/json"}, json.dumps({"text": TEXTS[path]})

    def contender(self, name: str, addresses: Mapping[str, Address], model_url: str) -> Contender:
        """There is none.

        Raises:
            ConfigurationError: Always.
        """
        del addresses, model_url
        raise ConfigurationError(f"{name} does not read pages")

    def model(self, name: str) -> Any:
        """There is none.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(f"{name} does not read pages")


class _Server(CutOff, ThreadingHTTPServer):
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, testbed: Pages, server: str, *args: Any) -> None:
        self._testbed, self._server = testbed, server
        super().__init__(*args)

    def do_GET(self) -> None:
        status, headers, body = self._testbed.answer(self._server, self.path)
        content = body.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the base class's
        """Say nothing."""


def testbed() -> Pages:
    """Make the testbed; nothing listens before it is entered."""
    return Pages()
