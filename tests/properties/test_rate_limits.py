"""Laws of reading rate limits: whatever a server sends, nothing breaks and no wait is long."""

import math

import httpx
from hypothesis import example, given
from hypothesis import strategies as st

from agentroute.errors import ToolError
from agentroute.guard.failures import classify
from agentroute.guard.rate_limits import LONGEST_WINDOW_S, headroom_of, reset_of
from agentroute.routing.headroom import SCARCEST, RateLimit

prefixes = st.sampled_from(["x-", "anthropic-", "llm_provider-", "LLM_provider-X-", ""])
limits = st.sampled_from(["-requests", "-tokens", "-day", ""])
fields = st.sampled_from(["remaining", "limit", "reset"])
names = (
    st.builds("{}ratelimit{}-{}".format, prefixes, limits, fields)
    | st.builds("{}RateLimit-{}{}".format, prefixes, fields, limits)
    | st.sampled_from(["RateLimit", "RateLimit-Policy", "retry-after", "ratelimit--", "-remaining-ratelimit"])
    | st.text(max_size=30)
)
numbers = st.integers().map(str) | st.floats().map(str) | st.decimals().map(str)
values = (
    numbers
    | st.builds("{}{}".format, numbers, st.sampled_from(["s", "ms", "m0s", "d", "h1s", ";w=60", ", 5"]))
    | st.datetimes(timezones=st.timezones() | st.none()).map(str)
    | st.builds('"{}";r={};t={};q={}'.format, st.sampled_from(["a", '"', ","]), numbers, numbers, numbers)
    | st.builds("limit={}, remaining={}, reset={}".format, numbers, numbers, numbers)
    | st.from_regex(r'["\\,;=a-z0-9 ]{0,60}')
    | st.text(max_size=60)
)
headers_of_strangers = st.dictionaries(names, values, max_size=8)
walls = st.floats(0, 4e9)


@given(headers=headers_of_strangers, wall=walls)
@example(headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "0001-01-01T00:00:00+23:59"}, wall=0.0)
@example(headers={"ratelimit": '"\\' * 500, "ratelimit-policy": "=" * 1000}, wall=0.0)
@example(headers={"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1d" * 500}, wall=0.0)
def test_no_header_breaks_anything_or_shuts_a_tool_for_long(headers: dict[str, str], wall: float) -> None:
    refused_for_s, said = reset_of(headers, wall), headroom_of(headers, wall)
    assert refused_for_s is None or 0 <= refused_for_s <= LONGEST_WINDOW_S
    if said is None:
        return
    figures = (said.left, said.limit, said.resets_in_s, said.refill_per_s)
    assert all(math.isfinite(figure) and figure >= 0 for figure in figures)
    assert said.resets_in_s <= LONGEST_WINDOW_S
    limit, now = RateLimit(), 1000.0
    limit.heard(said, now)
    assert limit.opens_at(now) <= now + LONGEST_WINDOW_S
    assert 1 <= limit.factor(now) <= SCARCEST


@given(headers=headers_of_strangers, wall=walls, status=st.sampled_from([404, 429, 503]))
def test_what_a_status_means_does_not_depend_on_such_headers(headers: dict[str, str], wall: float, status: int) -> None:
    class RefusedError(Exception):
        def __init__(self, headers: dict[str, str]) -> None:
            self.status_code, self.headers = status, headers

    assert classify(RefusedError(headers), wall=wall).kind == classify(RefusedError({}), wall=wall).kind


@given(left=st.integers(0, 1000), limit=st.integers(1, 1000), wait=st.integers(0, 3600))
def test_every_form_says_the_same(left: int, limit: int, wait: int) -> None:
    x = {"x-ratelimit-remaining": f"{left}", "x-ratelimit-limit": f"{limit}", "x-ratelimit-reset": f"{wait}"}
    forms = [
        x,
        {name.removeprefix("x-"): value for name, value in x.items()},
        {f"llm_provider-{name}": value for name, value in x.items()},
        {**x, "x-ratelimit-reset": f"{2_000_000_000 + wait}"},
        {**x, "x-ratelimit-reset": f"{2_000_000_000_000 + wait * 1000}"},
        {**x, "x-ratelimit-reset": f"{wait}s"},
        {"ratelimit": f"limit={limit}, remaining={left}, reset={wait}"},
        {"ratelimit": f'"p";r={left};t={wait}', "ratelimit-policy": f'"p";q={limit};w=3600'},
    ]
    assert len({headroom_of(form, wall=2_000_000_000) for form in forms}) == 1


@given(headers=headers_of_strangers)
def test_the_headers_of_an_answer_are_read_as_they_come_off_the_wire(headers: dict[str, str]) -> None:
    wire = httpx.Headers(
        [(name.encode("utf-8", "replace"), value.encode("utf-8", "replace")) for name, value in headers.items()]
    )
    error = ToolError("refused", kind="rate_limited")
    error.headers = wire
    assert classify(error).kind == "rate_limited"
