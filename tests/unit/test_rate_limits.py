"""What headers that servers really send say of a rate limit."""

from collections.abc import Callable
from email.message import Message
from functools import partial
from urllib.error import HTTPError

import httpx
import pytest

from agentroute.graph.cost import Cost
from agentroute.graph.tool import ToolSpec
from agentroute.guard.failures import classify
from agentroute.guard.rate_limits import Headroom, headroom_of, reset_of
from agentroute.ids import ToolId
from agentroute.routing.board import HealthBoard
from agentroute.routing.headroom import RateLimit
from agentroute.routing.health import Health

WALL = 1_792_567_680.0  # 21 October 2026, 07:28:00 UTC

GITHUB = {
    "X-RateLimit-Limit": "5000",
    "X-RateLimit-Remaining": "4987",
    "X-RateLimit-Used": "13",
    "X-RateLimit-Reset": "1792568280",
    "X-RateLimit-Resource": "core",
}
OPENAI = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-limit-tokens": "150000",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-reset-tokens": "6m0s",
}
GROQ = {
    "x-ratelimit-limit-requests": "14400",
    "x-ratelimit-limit-tokens": "18000",
    "x-ratelimit-remaining-requests": "14370",
    "x-ratelimit-remaining-tokens": "6000",
    "x-ratelimit-reset-requests": "2m59.56s",
    "x-ratelimit-reset-tokens": "7.66s",
}
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-requests-reset": "2026-10-21T07:28:01Z",
    "anthropic-ratelimit-input-tokens-limit": "30000",
    "anthropic-ratelimit-input-tokens-remaining": "3000",
    "anthropic-ratelimit-input-tokens-reset": "2026-10-21T07:28:54Z",
}
AS_LITELLM_HAS_IT = {
    "x-ratelimit-limit-requests": "50",
    "x-ratelimit-remaining-requests": "0",
    "llm_provider-anthropic-ratelimit-requests-limit": "50",
    "llm_provider-anthropic-ratelimit-requests-remaining": "0",
    "llm_provider-anthropic-ratelimit-requests-reset": "2026-10-21T07:28:50Z",
}
SAMPLES: dict[str, tuple[dict[str, str], Headroom]] = {
    "GitHub": (GITHUB, Headroom(4987, 5000, 600)),
    "X": (
        {"x-rate-limit-limit": "900", "x-rate-limit-remaining": "10", "x-rate-limit-reset": "1792567700"},
        Headroom(10, 900, 20),
    ),
    "OpenRouter, in milliseconds": (
        {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1792567710000"},
        Headroom(0, 20, 30),
    ),
    "seconds from now": (
        {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "7", "x-ratelimit-reset": "0.5"},
        Headroom(7, 100, 0.5),
    ),
    "OpenAI": (OPENAI, Headroom(59, 60, 1, refill_per_s=1)),
    "Groq": (GROQ, Headroom(6000, 18000, 7.66, refill_per_s=12000 / 7.66)),
    "Anthropic": (ANTHROPIC, Headroom(3000, 30000, 54, refill_per_s=500)),
    "Anthropic through litellm": (AS_LITELLM_HAS_IT, Headroom(0, 50, 50, refill_per_s=1)),
    "Cerebras, by the day and by the minute": (
        {
            "x-ratelimit-limit-requests-day": "1000",
            "x-ratelimit-remaining-requests-day": "990",
            "x-ratelimit-reset-requests-day": "33011.38",
            "x-ratelimit-limit-tokens-minute": "60000",
            "x-ratelimit-remaining-tokens-minute": "20000",
            "x-ratelimit-reset-tokens-minute": "11.38",
        },
        Headroom(20000, 60000, 11.38),
    ),
    "drafts 0 to 6": (
        {"RateLimit-Limit": "100, 100;w=60, 1000;w=3600", "RateLimit-Remaining": "50", "RateLimit-Reset": "30"},
        Headroom(50, 100, 30),
    ),
    "draft 7": ({"RateLimit": "limit=100, remaining=50, reset=5"}, Headroom(50, 100, 5)),
    "draft 8": (
        {"RateLimit": '"default";r=50;t=30', "RateLimit-Policy": '"default";q=100;w=60'},
        Headroom(50, 100, 30),
    ),
    "draft 8, several": (
        {
            "RateLimit": '"burst";r=99;t=1, "a, strange; name";r=10;t=3000;pk=:cHNkZg==:',
            "RateLimit-Policy": '"burst";q=100;w=1,"a, strange; name";q=1000;w=3600',
        },
        Headroom(10, 1000, 3000),
    ),
    "draft 8, without an end": (
        {"RateLimit": "default;r=5", "RateLimit-Policy": "default;q=10;w=20"},
        Headroom(5, 10, 20),
    ),
    "nothing said of the window": ({"x-ratelimit-remaining": "5"}, Headroom(5, 0, 60)),
    "a window longer than an hour": (
        {"x-ratelimit-remaining": "0", "x-ratelimit-limit": "9", "x-ratelimit-reset": "86400"},
        Headroom(0, 9, 3600),
    ),
    "a window that is over": (
        {"x-ratelimit-remaining": "0", "x-ratelimit-limit": "9", "x-ratelimit-reset": "1792567000"},
        Headroom(0, 9, 0),
    ),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_headers_as_servers_send_them(name: str) -> None:
    headers, expected = SAMPLES[name]
    for spelt in (headers, {name.upper(): value for name, value in headers.items()}, httpx.Headers(headers)):
        said = headroom_of(spelt, WALL)
        assert said is not None
        assert (said.left, said.limit) == (expected.left, expected.limit)
        assert said.resets_in_s == pytest.approx(expected.resets_in_s)
        assert said.refill_per_s == pytest.approx(expected.refill_per_s)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20ms", 0.02),
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("1h2m3.5s", 3600.0),
        ("59m59.5s", 3599.5),
        ("1d", 3600.0),
        ("250us", 0.00025),
        (" 12 ", 12.0),
        ("2026-10-21T09:28:07.5+02:00", 7.5),
        ("2026-10-21T07:28:07", 7.0),
        ("0001-01-01T00:00:00+23:59", 0.0),
        ("9999-12-31T23:59:59-23:59", 3600.0),
        ("soon", 60.0),
        ("-5", 60.0),
        ("nan", 60.0),
        ("1s and a bit", 60.0),
        ("9" * 400, 60.0),
    ],
)
def test_the_end_of_a_window_in_its_many_spellings(text: str, seconds: float) -> None:
    said = headroom_of({"x-ratelimit-remaining": "1", "x-ratelimit-reset": text}, WALL)
    assert said is not None
    assert said.resets_in_s == pytest.approx(seconds)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/html", "retry-after": "7"},
        {"x-ratelimit-reset": "30", "x-ratelimit-limit": "5"},
        *(
            {"x-ratelimit-remaining": text}
            for text in ("", "many", "nan", "inf", "-1", "1e9", "٣", "9" * 400, "1" * 5000)
        ),
        {"x-ratelimit-remaining": "0", "x-ratelimit-limit": "0"},
        {"ratelimit": '"' * 900, "ratelimit-policy": '"default'},
        {"ratelimit": "r=1"},
        {"ratelimit": '"default";r=-1;t=5'},
        {"ratelimit-policy": '"default";q=100;w=60'},
    ],
    ids=str,
)
def test_what_says_nothing_of_what_is_left(headers: dict[str, str]) -> None:
    assert headroom_of(headers, WALL) is None


def test_of_several_limits_the_scarcest_counts_and_among_those_the_one_that_lasts() -> None:
    empty = {
        "x-ratelimit-remaining-second": "0",
        "x-ratelimit-reset-second": "1",
        "x-ratelimit-remaining-hour": "0",
        "x-ratelimit-reset-hour": "900",
        "x-ratelimit-remaining-day": "5",
        "x-ratelimit-limit-day": "1000",
    }
    assert headroom_of(empty, WALL) == Headroom(0, 0, 900)


def refusal(status: int, headers: dict[str, str]) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://127.0.0.1/")
    return httpx.HTTPStatusError("", request=request, response=httpx.Response(status, headers=headers))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}, 7.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}, 30.0),
        ({"x-ratelimit-reset": "1792567720"}, 40.0),
        ({"RateLimit": '"default";r=0;t=12'}, 12.0),
        # refills one a second, but has just refused one
        ({**OPENAI, "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m0s"}, 60.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "999999"}, 3600.0),
        # another limit was hit than the one that is spoken of
        (GITHUB, None),
        ({"x-ratelimit-remaining": "0"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, None),
    ],
    ids=str,
)
def test_a_refusal_without_retry_after_lasts_as_long_as_its_headers_say(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert classify(refusal(429, headers), wall=WALL).retry_after_s == seconds
    if "retry-after" not in headers:
        assert reset_of(headers, WALL) == seconds
        assert classify(refusal(503, headers), wall=WALL).retry_after_s is None


def test_every_failure_says_what_its_headers_say_whichever_client_raised_it() -> None:
    assert classify(refusal(404, GITHUB), wall=WALL).headroom == Headroom(4987, 5000, 600)
    message = Message()
    for name, value in GITHUB.items():
        message[name] = value
    with HTTPError("http://127.0.0.1/", 500, "broken", message, None) as error:
        assert classify(error, wall=WALL).headroom == Headroom(4987, 5000, 600)
    assert classify(RuntimeError("no answer at all")).headroom is None


def test_a_limit_that_refills_is_open_again_as_soon_as_one_is_back() -> None:
    limit = RateLimit()
    limit.heard(Headroom(0, limit=60, resets_in_s=60, refill_per_s=1), now=100.0)
    assert limit.opens_at(100.0) == pytest.approx(101.0)
    assert limit.opens_at(101.5) <= 101.5
    assert limit.factor(101.0) > limit.factor(106.0) > limit.factor(112.0) == 1.0
    for _ in range(3):
        limit.begin(103.0)
    assert limit.opens_at(103.0) == pytest.approx(104.0)


def test_a_limit_that_hardly_refills_is_open_when_its_window_is_over() -> None:
    limit = RateLimit()
    limit.heard(Headroom(0, limit=2, resets_in_s=3600, refill_per_s=2 / 86_400), now=0.0)
    assert limit.opens_at(1.0) == pytest.approx(3600.0)


def test_routes_are_looked_at_again_when_a_limit_runs_out_or_becomes_scarce() -> None:
    spec, board = ToolSpec(ToolId("t"), cost=Cost(usd=0.01), effect="read"), HealthBoard(Health())
    seen: list[bool] = []

    def changes(act: Callable[[], object]) -> None:
        before = board.version
        act()
        seen.append(board.version != before)

    ticket = board.begin(spec, 0.0)
    for left in (90, 80, 10, 9, 0):
        changes(partial(board.hear, ticket, Headroom(left, limit=100), 0.0))
    board.hear(ticket, Headroom(2), 0.0)
    changes(lambda: board.begin(spec, 1.0))
    changes(lambda: board.begin(spec, 1.0))
    assert seen == [False, False, True, False, True, False, True]


def test_the_call_that_takes_what_is_left_says_so() -> None:
    limit = RateLimit()
    assert not limit.begin(0.0)
    limit.heard(Headroom(2, limit=10, resets_in_s=60), now=0.0)
    assert [limit.begin(1.0) for _ in range(3)] == [False, True, False]
