"""How the demonstrations' tools call a provider: HTTP with JSON, the run's id and the attempt's idempotency key."""

import json
import os
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx

from agentroute import ToolError, current


@cache
def _tls() -> ssl.SSLContext:
    """Made once: loading the certificates takes longer than a call does."""
    return ssl.create_default_context()


class Client:
    """Calls the providers of one domain.

    Args:
        variable: Environment variable that holds the addresses as JSON, read at each call.
        urls: The addresses by name of the provider, where they are known already.
    """

    def __init__(self, variable: str, urls: Mapping[str, str] | None) -> None:
        """No connection is opened yet; each call opens one of its own."""
        self._variable = variable
        self._urls = urls

    async def get(self, provider: str, path: str, **query: str) -> dict[str, Any]:
        """Ask; nothing changes.

        Raises:
            httpx.HTTPError: As httpx raises it; agentroute knows what it means.
        """
        return await self._call("GET", provider, path, params=query)

    async def post(self, provider: str, path: str, **body: Any) -> dict[str, Any]:
        """Have something done.

        Raises:
            httpx.HTTPError: As httpx raises it; agentroute knows what it means.
        """
        return await self._call("POST", provider, path, json=body)

    async def made(self, provider: str, table: str) -> dict[str, Any] | None:
        """What the provider did for this run, None if it did nothing."""
        found = await self.get(provider, f"/{table}", run_id=current().run_id)
        return next(iter(found["found"]), None)

    async def _call(self, method: str, provider: str, path: str, **content: Any) -> dict[str, Any]:
        attempt = current()
        headers = {"X-Run-Id": str(attempt.run_id)}
        if attempt.idempotency_key:
            headers["Idempotency-Key"] = attempt.idempotency_key
        # The time limit is the tool's: agentroute gives the attempt up.
        async with httpx.AsyncClient(timeout=None, verify=_tls(), trust_env=False) as http:  # noqa: S113
            answer = await http.request(method, self._url(provider) + path, headers=headers, **content)
        if answer.is_error:  # with the provider's own words, which `raise_for_status` leaves out
            raise httpx.HTTPStatusError(f"{provider}: {answer.text}", request=answer.request, response=answer)
        return answer.json()

    def _url(self, provider: str) -> str:
        urls = self._urls if self._urls is not None else json.loads(os.environ.get(self._variable, "{}"))
        if provider not in urls:
            raise ToolError(
                f"no address of {provider}; set {self._variable} to JSON with the providers' addresses",
                kind="permanent",
            )
        return urls[provider]
