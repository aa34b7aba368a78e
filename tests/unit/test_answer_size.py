"""Answers that nothing could hold are refused at the door, whatever they are made of."""

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from agentroute.runtime.size import exceeds
from agentroute.testing.fakes import fake_tool
from agentroute.testing.faults import Fault
from tests.laboratory import experiment


class Page(BaseModel):
    text: str
    links: list[str] = []


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("abc", 4),
        (b"abc", 4),
        ([1, 2, 3], 4),
        ({"a": "bc"}, 6),
        (Page(text="abcd", links=["e"]), 9),
        (7, 1),
        ([[[["a"]]]], 6),
    ],
    ids=str,
)
def test_every_character_byte_and_value_counts(value: Any, size: int) -> None:
    assert not exceeds([value], size)
    assert exceeds([value], size - 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
)


@given(JSON)
def test_it_says_the_same_of_any_limit_above_and_below_the_size(value: Any) -> None:
    size = next(limit for limit in range(1000) if not exceeds([value], limit))
    assert all(exceeds([value], limit) for limit in range(size))
    assert not exceeds([value], size + 1)


def test_a_value_that_contains_itself_ends_at_the_limit() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert exceeds([endless], 1000)


def test_depth_is_no_problem() -> None:
    deep: list[Any] = []
    for _ in range(10 * sys.getrecursionlimit()):
        deep = [deep]
    assert not exceeds([deep], 10**9)


def test_a_bomb_breaks_the_contract_and_the_run_goes_another_way() -> None:
    tools = [fake_tool("near", ["start"], ["a"]), fake_tool("far", ["start"], ["a"], usd=1.0)]
    run = experiment(tools, {"all": ["a"]}, faults=[Fault(type="output_bomb", target="near", bytes=17 << 20)])
    assert (run.result.outcome, run.result.reroutes, run.result.route) == ("succeeded", 1, ["far"])
    assert "larger than 16 MiB" in str(run.records)
