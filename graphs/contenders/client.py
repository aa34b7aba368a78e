"""How the contenders call a provider: HTTP with JSON, a time limit, keys for effects, answers that are checked."""

import hashlib
import json
import ssl
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from typing import Any, Self, TypeVar

import anyio
import httpx
from pydantic import BaseModel, ValidationError

from graphs.contenders.call import CallError, Kind, Tally

TIMEOUT_S = 2.0
"""Of one call, from connecting to the last byte."""

Answer = TypeVar("Answer", bound=BaseModel)


class Client:
    """Calls the providers of one domain for one run. A context manager.

    Args:
        urls: Addresses by name of the provider.
        run_id: Sent with every call.
        tally: Counts the calls.
    """

    def __init__(self, urls: Mapping[str, str], run_id: str, tally: Tally) -> None:
        """No connection is opened yet; each call opens one of its own."""
        self._urls = urls
        self._run_id = run_id
        self._tally = tally
        self._http = http_client()

    async def __aenter__(self) -> Self:
        """Nothing to wait for."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let go of what is open."""
        await self._http.aclose()

    async def get(
        self,
        provider: str,
        path: str,
        answer: type[Answer],
        query: Mapping[str, str] | None = None,
        about: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask; nothing changes.

        Args:
            answer: What comes back; fields that the query has too must repeat it.
            about: Further fields that it must have.

        Raises:
            CallError: There was no answer, or not that one.
        """
        request = self._request("GET", provider, path, params=query)
        return await self._answer(provider, request, answer, {**(query or {}), **(about or {})})

    async def post(self, provider: str, path: str, answer: type[Answer], **body: Any) -> Answer:
        """Have something done, under a key that is the same whenever this run asks this provider for the same.

        Args:
            answer: What comes back; fields that the body has too must repeat it.

        Raises:
            CallError: It was not done, or nobody can know.
        """
        asked = json.dumps([self._run_id, provider, path, body], sort_keys=True)
        key = hashlib.sha256(asked.encode()).hexdigest()[:32]
        request = self._request("POST", provider, path, json=body, headers={"Idempotency-Key": key})
        return await self._answer(provider, request, answer, body)

    async def made(self, provider: str, table: str, kind: type[Answer]) -> Answer | None:
        """What the provider did for this run and has not undone, None if it did nothing.

        Raises:
            CallError: It does not say.
        """
        request = self._request("GET", provider, f"/{table}", params={"run_id": self._run_id})
        found = (await self._answer(provider, request, _Found, {})).found
        with _as_call_error(provider):
            return kind.model_validate(found[0]) if found else None

    def _request(self, method: str, provider: str, path: str, **content: Any) -> httpx.Request:
        request = self._http.build_request(method, self._urls[provider] + path, **content)
        request.headers["X-Run-Id"] = self._run_id
        return request

    async def _answer(
        self, provider: str, request: httpx.Request, answer: type[Answer], expected: Mapping[str, Any]
    ) -> Answer:
        self._tally.tool_calls += 1
        try:
            with _as_call_error(provider):
                with anyio.fail_after(TIMEOUT_S):
                    response = await self._http.send(request)
                read = _read(provider, response, answer)
                _check(provider, read, expected)
        except CallError:
            self._tally.failed(anyio.current_time())
            raise
        self._tally.succeeded(anyio.current_time())
        return read


class _Found(BaseModel):
    found: list[dict[str, Any]]


def http_client() -> httpx.AsyncClient:
    """Make a client that trusts no settings of the surroundings and keeps no connection for a next call."""
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(timeout=None, verify=_tls(), trust_env=False, limits=limits)  # noqa: S113  # see TIMEOUT_S


@cache
def _tls() -> ssl.SSLContext:
    """Made once: loading the certificates takes longer than a call does."""
    return ssl.create_default_context()


@contextmanager
def _as_call_error(provider: str) -> Generator[None]:
    try:
        yield
    except httpx.ConnectError as error:
        raise CallError(provider, "no connection", kind="down") from error
    except TimeoutError as error:
        raise CallError(provider, f"no answer within {TIMEOUT_S:g} s", kind="doubt") from error
    except httpx.RequestError as error:
        raise CallError(provider, "the connection broke before the answer", kind="doubt") from error
    except ValidationError as error:
        raise CallError(provider, f"an answer that breaks its contract: {_first(error)}", kind="doubt") from error


def _read(provider: str, response: httpx.Response, answer: type[Answer]) -> Answer:
    if response.is_error:
        what = f"status {response.status_code}, {response.text[:200]}"
        raise CallError(provider, what, kind=_kind(response.status_code))
    return answer.model_validate_json(response.content)


def _kind(status: int) -> Kind:
    """What a status says about whether something was done."""
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return "busy"
    return "doubt" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "refused"


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(map(str, problem["loc"]))
    return f"{where}: {problem['msg']}" if where else problem["msg"]


def _check(provider: str, answer: BaseModel, expected: Mapping[str, Any]) -> None:
    """Hold an answer against what was asked: an answer about something else is none."""
    told = answer.model_dump(mode="json")
    for name in told.keys() & expected.keys():
        if told[name] != expected[name]:
            what = f"an answer about another {name}: {told[name]!r}, not {expected[name]!r}"
            raise CallError(provider, what, kind="doubt")
