r"""Laws of patterns: they find what `re` finds, in time that a text cannot drive up.

What RE2 reads otherwise than `re` is left out: ``$``, ``\B`` in nothing, classes beyond ASCII, and case beyond it.
"""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentroute.errors import DefinitionError
from agentroute.run.patterns import finder
from agentroute.run.watching import LONGEST_TEXT, IntentRule

atoms = st.sampled_from(
    ["a", "b", ".", r"\w", r"\W", r"\d", r"\s", "[ab]", "[^a]", "[a-c_]", "k", r"\-", "[-x]", "[^\\s]"]
)
anchors = st.sampled_from(["^", r"\b", r"\A"])
counts = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}"])


def compound(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.lists(parts, min_size=1, max_size=3)
    return st.one_of(
        several.map("".join),
        several.map(lambda each: f"(?:{'|'.join(each)})"),
        several.map(lambda each: f"({'|'.join(each)}|)"),
        st.tuples(parts, counts).map(lambda each: f"(?:{each[0]}){each[1]}"),
    )


patterns = st.recursive(atoms | anchors, compound, max_leaves=8)
flags = st.sampled_from(["", "(?s)", "(?m)"])
texts = st.text(st.sampled_from("abcABk _-1x\n"), max_size=10)


@settings(max_examples=400)
@given(flag=flags, pattern=patterns, text=texts)
def test_a_pattern_finds_what_re_finds(flag: str, pattern: str, text: str) -> None:
    assert finder(flag + pattern)(text) == (re.search(flag + pattern, text, re.IGNORECASE) is not None)


HOSTILE = [
    (r"(a+)+$", "a" * (LONGEST_TEXT - 1) + "!"),
    (r"(a|aa)+$", "a" * (LONGEST_TEXT - 1) + "!"),
    (r"(\w\s?)+$", "a" * (LONGEST_TEXT - 1) + "!"),
    (r"a*a*a*a*b", "a" * LONGEST_TEXT),
    (r"\s+$", " " * (LONGEST_TEXT - 1) + "x"),
    (r"\bcancel\w*\b.*\border\b", "cancel " * LONGEST_TEXT),
]


def seconds(pattern: str, text: str) -> float:
    """CPU time that the rule takes, the least of three."""
    rule, taken = IntentRule("x", pattern=pattern), list[float]()
    for _ in range(3):
        begun = time.process_time()
        assert not rule.matches(text)
        taken.append(time.process_time() - begun)
    return min(taken)


@pytest.mark.parametrize(("pattern", "text"), HOSTILE)
def test_a_hostile_text_takes_hardly_longer_than_a_harmless_one(pattern: str, text: str) -> None:
    """`re` takes years for the first of them; a harmless text of the same length says how fast the machine is."""
    harmless = seconds(r"zebra\w*!", "harmless " * (LONGEST_TEXT // 9))
    assert seconds(pattern, text) < 20 * harmless


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"(a)\1*", "invalid escape sequence"),
        ("(?=a)a*", "invalid perl operator"),
        ("(?<!a)b*", "invalid perl operator"),
        ("a*+b", "bad repetition operator"),
        ("(x{30}){50}", "invalid repetition size"),
        ("(", r"missing \)"),
    ],
)
def test_what_cannot_be_bounded_is_refused_where_it_is_written(pattern: str, why: str) -> None:
    with pytest.raises(DefinitionError, match=f"intent 'x': pattern cannot be read: .*{why}"):
        IntentRule("x", pattern=pattern)


def test_half_a_surrogate_pair_is_no_reason_to_fail() -> None:
    assert IntentRule("x", pattern="refund").matches("\ud800 refund")
    with pytest.raises(DefinitionError, match="surrogate"):
        IntentRule("x", pattern="\ud800x")
