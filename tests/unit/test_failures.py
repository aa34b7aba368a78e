"""What an exception says about an attempt."""

import json
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, ValidationError

from agentroute.errors import FailureKind, ToolError
from agentroute.graph.tool import EFFECTS
from agentroute.guard.failures import Failure, classify
from agentroute.testing.faults import StatusError

REQUEST = httpx.Request("GET", "http://127.0.0.1/")


class Empty(BaseModel):
    needed: int


def invalid() -> Exception:
    try:
        Empty.model_validate({})
    except ValidationError as error:
        return error
    raise AssertionError


def status(code: int, **headers: str) -> httpx.HTTPStatusError:
    response = httpx.Response(code, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return httpx.HTTPStatusError("", request=REQUEST, response=response)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ToolError("x", kind="transient"), "transient"),
        (ToolError("x", kind="permanent"), "permanent"),
        (ToolError("x", kind="ambiguous"), "ambiguous"),
        (ConnectionRefusedError(), "transient"),
        (httpx.ConnectError("x"), "transient"),
        (httpx.ConnectTimeout("x"), "transient"),
        (httpx.PoolTimeout("x"), "transient"),
        (httpx.ReadTimeout("x"), "ambiguous"),
        (httpx.ReadError("x"), "ambiguous"),
        (httpx.WriteError("x"), "ambiguous"),
        (httpx.RemoteProtocolError("x"), "ambiguous"),
        (ConnectionResetError(), "ambiguous"),
        (BrokenPipeError(), "ambiguous"),
        (TimeoutError(), "ambiguous"),
        (OSError("disk"), "ambiguous"),
        (RuntimeError("anything"), "ambiguous"),
        (KeyError("anything"), "ambiguous"),
        (json.JSONDecodeError("x", "y", 0), "contract"),
        (invalid(), "contract"),
        (StatusError(503), "transient"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_only_what_is_known_not_to_have_happened_is_called_so(error: Exception, kind: FailureKind) -> None:
    assert classify(error).kind == kind


STATUSES: dict[int, FailureKind] = {
    400: "permanent",
    401: "permanent",
    403: "permanent",
    404: "permanent",
    408: "ambiguous",
    409: "permanent",
    422: "permanent",
    425: "transient",
    429: "rate_limited",
    500: "ambiguous",
    502: "ambiguous",
    503: "transient",
    504: "ambiguous",
}


@pytest.mark.parametrize("code", STATUSES)
def test_a_status_says_whether_the_server_may_have_acted(code: int) -> None:
    assert classify(status(code)).kind == STATUSES[code]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": " 7 "}, 7.0),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:10 GMT"}, 10.0),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:10 GMT", "date": "Wed, 21 Oct 2026 07:28:03 GMT"}, 7.0),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:10 GMT", "date": "today"}, 10.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "3600"}, 3600.0),
        ({"retry_after": "3601"}, 3600.0),  # nobody is out for longer than an hour by a word
        ({"retry_after": "315360000"}, 3600.0),
        ({"retry_after": "9" * 400}, 3600.0),
        ({"retry_after": "Fri, 31 Dec 9999 23:59:59 GMT"}, 3600.0),
        ({}, None),
    ],
    ids=str,
)
def test_retry_after_is_read_as_seconds_or_as_a_date(headers: dict[str, str], seconds: float | None) -> None:
    wall = 1_792_567_680.0  # 21 October 2026, 07:28:00 UTC
    assert classify(status(429, **headers), wall=wall).retry_after_s == seconds


def test_a_tool_that_passes_on_what_its_provider_asks_is_heard_for_an_hour_too() -> None:
    for seconds, heard in ((7.0, 7.0), (1e8, 3600.0)):
        assert classify(ToolError("wait", kind="rate_limited", retry_after_s=seconds)).retry_after_s == heard


def test_a_single_failure_in_groups_is_what_counts() -> None:
    group = ExceptionGroup("outer", [ExceptionGroup("inner", [ConnectionRefusedError("down")])])
    assert classify(group).kind == "transient"
    assert classify(group).message == "down"
    assert classify(ExceptionGroup("two", [ConnectionRefusedError(), ConnectionRefusedError()])).kind == "ambiguous"


def test_messages_are_on_one_line_and_never_empty() -> None:
    assert classify(RuntimeError("a\n\tb  c")).message == "a b c"
    assert classify(RuntimeError()).message == "RuntimeError"


def test_an_exception_with_odd_attributes_is_still_classified() -> None:
    class OddError(Exception):
        response: Any = "not a response"
        status_code = "four hundred"
        status = True
        headers = 7

    assert classify(OddError()).kind == "ambiguous"


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("kind", ["transient", "rate_limited", "permanent", "contract", "ambiguous"])
def test_doubt_is_for_effects_that_must_happen_once(kind: FailureKind, effect: Any) -> None:
    failure = Failure(kind, "E", "m")
    assert failure.in_doubt(effect) == (effect == "once" and kind in ("ambiguous", "contract"))
    expected = "transient" if kind == "ambiguous" and effect != "once" else kind
    assert failure.for_effect(effect).kind == expected
