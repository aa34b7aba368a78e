"""The providers of a domain as a testbed: the scenario lab puts proxies before them and sends them signals."""

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self, TypeAlias, cast
from urllib.parse import urlsplit

from agentroute import Agent
from agentroute.testing.scenario.testbed import Address, Contender, Exchange, Row, Testbed
from graphs.providers.domain import match
from graphs.providers.serve import load
from graphs.providers.supervisor import Providers

LOOPBACK: Final = "127.0.0.1"

UNDONE: Final = frozenset({"voided", "revoked", "cancelled"})
"""States of effects that do not stand any more."""

Named: TypeAlias = str | Callable[[Mapping[str, Any]], str]
"""Name of a tool, with ``{server}`` for the server's; a function of the request's body where the endpoint leaves it
open."""


class ProviderTestbed(Testbed):
    """The providers of one domain, each a process, and the database that all of them write to.

    Args:
        domain: ``"support"``, ``"travel"`` or ``"moderation"``.
        build_agent: Makes the domain's agent from the providers' base URLs.
        tools: Which tool calls an endpoint such as ``"POST /refunds"``, on any server that has it.

    Example::

        with ProviderTestbed("support", build_agent, TOOLS) as testbed:
            os.kill(testbed.pid("stripe"), signal.SIGKILL)
            anyio.run(partial(testbed.agent(testbed.addresses).run, inputs={"order_id": "1042"}))
            assert [row["provider"] for row in testbed.truth()["refunds"]] == ["razorpay"]
    """

    def __init__(self, domain: str, build_agent: Callable[..., Agent], tools: Mapping[str, Named]) -> None:
        """Nothing is started yet."""
        self.domain = domain
        self._definition = load(domain)
        self._build_agent = build_agent
        self._tools = tools
        self._open = ExitStack()
        self._started: Providers | None = None

    @property
    def providers(self) -> Providers:
        """The processes.

        Raises:
            RuntimeError: The testbed was not entered.
        """
        if self._started is None:
            raise RuntimeError(f"the testbed of {self.domain} runs inside `with` only")
        return self._started

    @property
    def addresses(self) -> Mapping[str, Address]:
        """Where each provider listens, dead or alive."""
        return {name: (LOOPBACK, self.providers.port(name)) for name in self.providers.names}

    def __enter__(self) -> Self:
        """Start every provider over a database in a folder of its own; returns when all answer."""
        with ExitStack() as opening:
            folder = opening.enter_context(tempfile.TemporaryDirectory(prefix=f"{self.domain}-"))
            self._started = opening.enter_context(Providers(self.domain, Path(folder).resolve() / "truth.db"))
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End every provider; the database goes with them."""
        self._started = None
        self._open.close()

    def pid(self, server: str) -> int:
        """Process id of a provider; another one after it was started again."""
        return self.providers.pid(server)

    def restart(self, server: str) -> None:
        """Start a dead provider again, at its address; one that lives is replaced."""
        self.providers.kill(server)  # reaps a dead one and closes its pipes
        self.providers.start(server)

    def reset(self) -> None:
        """Make everything as it was at the start.

        A provider that answers keeps its process. One that was stopped gets a new one: what still waits in the old one
        belongs to a run that is over, and must not happen in the next.
        """
        self.providers.heal()
        self.providers.reset()

    def agent(self, addresses: Mapping[str, Address]) -> Agent:
        """Make the domain's agent, with a health of its own, for providers at these addresses."""
        return self._build_agent(_urls(addresses))

    def tool_of(self, exchange: Exchange) -> str | None:
        """Name of the tool that makes such a request; None if no tool does, or the server has no such endpoint."""
        endpoints = self._definition.providers.get(exchange.server, {})
        found = match(endpoints, exchange.method, urlsplit(exchange.path).path)
        named = self._tools.get(found[0]) if found else None
        if named is None:
            return None
        name = named if isinstance(named, str) else named(_fields(exchange.body))
        return name.format(server=exchange.server.replace("-", "_"))

    def truth(self) -> Mapping[str, list[Row]]:
        """Effects that stand, by table, oldest first; every table is there, empty ones too."""
        return {
            table: [row for row in self.providers.rows(table) if row["status"] not in UNDONE]
            for table in self._definition.effects
        }

    def contender(self, name: str, addresses: Mapping[str, Address], model_url: str) -> Contender:
        """Make a system to compare with, over the same providers.

        Raises:
            ConfigurationError: There is none of that name, or what it is built on is not installed.
        """
        from graphs.contenders import make_contender  # with the libraries that they are built on

        return make_contender(self.domain, name, _urls(addresses), model_url)

    def model(self, name: str) -> Any:
        """Script of the model that `contender` asks."""
        from graphs.contenders import model_script

        return model_script(self.domain, name)


def _urls(addresses: Mapping[str, Address]) -> dict[str, str]:
    return {name: f"http://{host}:{port}" for name, (host, port) in addresses.items()}


def _fields(body: bytes) -> Mapping[str, Any]:
    """What a request's body says; nothing if it is no JSON object."""
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return cast("dict[str, Any]", said) if isinstance(said, dict) else {}
