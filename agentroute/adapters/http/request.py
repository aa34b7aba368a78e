"""What an HTTP tool sends: URL, query, body and headers from the artifacts at hand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic_core import to_json, to_jsonable_python

from agentroute.adapters.http.secret import Secret
from agentroute.adapters.http.url_template import UrlTemplate, with_query
from agentroute.adapters.wire_contract import WireContract
from agentroute.attempt import current
from agentroute.errors import AgentrouteError, DefinitionError
from agentroute.graph.tool import KOfN, Need
from agentroute.ports import Values

Method = Literal["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH"]

WITH_BODY: frozenset[Method] = frozenset({"PUT", "POST", "PATCH"})


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request. The URL is complete, with its query."""

    url: str
    body: bytes | None
    headers: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How requests are made from artifacts.

    Attributes:
        contract: Names the values that are taken.
        method: Of the request.
        url: With places for some of the values.
        headers: Sent along; a `Secret` is revealed for each request.
        body: Name of the value that is the body, a function that makes it from all values, or None: then what the
            URL does not use goes into a JSON object by name, or into the query of a method without a body.
        key_header: Header that carries the idempotency key.
    """

    contract: WireContract
    method: Method
    url: UrlTemplate
    headers: Mapping[str, str | Secret] = field(repr=False)
    body: str | Callable[..., Any] | None
    key_header: str | None

    def check(self) -> None:
        """Refuse an endpoint whose URL or body needs what is not taken, or that takes what it does not use.

        Raises:
            DefinitionError: With the tool's name and why.
        """
        subject, takes = f"tool {self.contract.spec.name!r}", self.contract.parameters
        certain = {name for name, need in takes.items() if need in self.contract.spec.requires}
        if missing := [name for name in self.url.names if name not in certain or isinstance(takes[name], KOfN)]:
            raise DefinitionError(subject, f"its URL needs {', '.join(missing)}, which it must take as one artifact")
        if isinstance(self.body, str) and self.body not in takes:
            raise DefinitionError(subject, f"its body is {self.body!r}, which it does not take")
        if self.body is not None and self.method not in WITH_BODY:
            raise DefinitionError(subject, f"{self.method} requests have no body")
        if isinstance(self.body, str) and (unused := self._rest() - {self.body}):
            raise DefinitionError(subject, f"takes {', '.join(sorted(unused))}, which neither URL nor body uses")

    def request(self, inputs: Values) -> Outgoing:
        """Make one request.

        Raises:
            ToolError: A value cannot stand where it belongs, or a secret is not there. Permanent: nothing was sent.
        """
        values = self.contract.arguments(inputs)
        url = self.url.fill(values)
        rest = {name: value for name, value in values.items() if name in self._rest()}
        headers = self.revealed()
        if self.key_header is not None and (key := self._key()):
            headers.setdefault(self.key_header, key)
        if self.method not in WITH_BODY:
            return Outgoing(with_query(url, rest), None, headers)
        body = self._body(inputs, values, rest)
        if body is not None:
            headers.setdefault("content-type", "application/json")
        return Outgoing(url, body, headers)

    def revealed(self) -> dict[str, str]:
        """The headers that every request carries, secrets included."""
        return {name: value.reveal() if isinstance(value, Secret) else value for name, value in self.headers.items()}

    def _rest(self) -> set[str]:
        return set(self.contract.parameters) - set(self.url.names)

    def _body(self, inputs: Values, values: Mapping[str, Any], rest: Mapping[str, Any]) -> bytes | None:
        if isinstance(self.body, str):
            return to_json(values[self.body]) if self.body in values else None
        if self.body is None:
            return to_json(rest) if self._rest() else None
        given = {name: _value(need, inputs) for name, need in self.contract.parameters.items() if name in values}
        return to_json(to_jsonable_python(self.body(**given)))

    def _key(self) -> str | None:
        """The key under which this effect may happen once; for a verify tool, that of the effect it asks about."""
        try:
            attempt = current()
        except AgentrouteError:  # called outside of a run
            return None
        return attempt.original_key if self.contract.spec.effect == "read" else attempt.idempotency_key


def _value(need: Need, inputs: Values) -> Any:
    if isinstance(need, KOfN):
        return {part: inputs[part] for part in need.of if part in inputs}
    return inputs[need]
