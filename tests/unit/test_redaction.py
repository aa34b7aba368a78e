"""A planted secret never survives, wherever it stands and however it is written."""

import base64
import json
import string
import time
from typing import Any, cast
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agentroute.adapters.redaction import DEEPEST, MASK, Redactor, looks_secret

LETTERS = string.ascii_letters + string.digits
WORDS = st.text("abcxyz ,.:/\"'=\n\\{}[]é", max_size=40)
SECRETS = st.text(LETTERS + '-_.!"\\/+=%é', min_size=8, max_size=40)


def tokens(size: int) -> st.SearchStrategy[str]:
    return st.text(LETTERS, min_size=size, max_size=size)


FORMATS = st.one_of(
    tokens(24).map("sk-".__add__),
    tokens(40).map("sk-ant-api03-".__add__),
    tokens(36).map("ghp_".__add__),
    tokens(50).map("github_pat_".__add__),
    st.text(string.ascii_uppercase + string.digits, min_size=16, max_size=16).map("AKIA".__add__),
    tokens(35).map("AIza".__add__),
    tokens(30).map("xoxb-".__add__),
    tokens(34).map("hf_".__add__),
    st.tuples(tokens(20), tokens(20), tokens(20)).map(lambda parts: f"eyJ{parts[0]}.eyJ{parts[1]}.{parts[2]}"),
)


@given(SECRETS, WORDS, WORDS)
def test_a_registered_secret_does_not_survive_in_a_text(secret: str, before: str, after: str) -> None:
    assume(secret not in MASK)
    assert secret not in Redactor([secret]).text(f"{before}{secret}{after}{secret}")


@given(st.lists(SECRETS, min_size=1, max_size=4), WORDS, st.permutations(range(4)))
def test_of_several_secrets_none_survives(secrets: list[str], between: str, order: list[int]) -> None:
    text = between.join(secrets[at % len(secrets)] for at in order)
    found = Redactor(secrets).text(text)
    for secret in secrets:
        assert secret not in found.replace(MASK, "\0")


def test_of_a_secret_that_begins_like_another_nothing_is_left() -> None:
    redactor = Redactor(["opensesame", "opensesame-and-more"])
    assert redactor.text("x opensesame-and-more y opensesame z") == f"x {MASK} y {MASK} z"


@given(SECRETS, WORDS)
def test_a_secret_does_not_survive_in_another_spelling(secret: str, around: str) -> None:
    redactor = Redactor([secret])
    for spelling in (
        json.dumps(secret)[1:-1],
        quote(secret, safe=""),
        repr(secret)[1:-1],
        base64.b64encode(secret.encode()).decode(),
    ):
        assert spelling not in redactor.text(f"{around}{spelling}{around}")


@given(SECRETS, WORDS, st.data())
def test_of_a_secret_that_was_cut_no_telling_part_survives(secret: str, around: str, data: st.DataObject) -> None:
    size = data.draw(st.integers(6, len(secret)))
    head = Redactor([secret]).text(f"{around} {secret[:size]}")
    tail = Redactor([secret]).text(f"{secret[-size:]} {around}")
    assert not head.endswith(secret[:size])
    assert not tail.startswith(secret[-size:])


@given(FORMATS, st.sampled_from(["", "key ", "(", "token=", '{"a": "', "x\n", "https://h/?q="]), WORDS)
def test_keys_in_the_formats_of_providers_do_not_survive(key: str, before: str, after: str) -> None:
    assert key not in Redactor().text(f"{before}{key} {after}")


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def planted(value: Any, secret: str, seed: int) -> Any:
    """The same data with the secret in every text and key, and as a value of its own at the top."""
    match value:
        case str():
            return f"{value}{secret}" if seed % 2 else f"{secret}{value}"
        case list():
            return [planted(each, secret, seed + 1) for each in cast("list[Any]", value)]
        case dict():
            held = cast("dict[str, Any]", value)
            return {f"{name}{secret}": planted(each, secret, seed + 1) for name, each in held.items()}
        case _:
            return value


def texts(data: Any) -> list[str]:
    """Every text in nested data, keys too."""
    match data:
        case str():
            return [data]
        case dict():
            held = cast("dict[str, Any]", data)
            return [text for pair in held.items() for each in pair for text in texts(each)]
        case list():
            return [text for each in cast("list[Any]", data) for text in texts(each)]
        case _:
            return []


@given(json_like, SECRETS, st.integers(0, 1))
def test_a_secret_does_not_survive_in_nested_data(value: Any, secret: str, seed: int) -> None:
    assume(secret not in MASK)
    found = Redactor([secret]).data({"here": planted(value, secret, seed), "bytes": secret.encode(), "set": {secret}})

    assert [text for text in texts(found) if secret in text] == []


@given(json_like)
def test_data_without_secrets_keeps_its_values(value: Any) -> None:
    class Odd:
        def __str__(self) -> str:
            return "odd with hunter2hunter2"

    assert Redactor().data({"value": [1, None, True, 2.5, "plain"]}) == {"value": [1, None, True, 2.5, "plain"]}
    assert Redactor(["hunter2hunter2"]).data([Odd(), value])[0] == f"odd with {MASK}"


def test_what_lies_too_deep_is_masked_as_a_whole() -> None:
    deep: Any = "hunter2hunter2"
    for _ in range(DEEPEST + 1):
        deep = [deep]
    assert "hunter2hunter2" not in str(Redactor().data(deep))
    assert MASK in str(Redactor().data(deep))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("GET https://bob:s3cr3t-pw@host/x failed", "GET https://bob:[redacted]@host/x failed"),
        ("Authorization: Bearer abc.def-123 rejected", "Authorization: Bearer [redacted] rejected"),
        ('{"Authorization": "Basic dXNlcjpwdw=="}', '{"Authorization": "Basic [redacted]"}'),
        ("bad header bearer 0123456789", "bad header bearer [redacted]"),
        ("https://api/x?api_key=topsecret1&q=a", "https://api/x?api_key=[redacted]&q=a"),
        ("https://maps/x?key=topsecret1&q=a", "https://maps/x?key=[redacted]&q=a"),
        ("{'password': 'correct horse'}", "{'password': '[redacted] horse'}"),
        ("Set-Cookie: sid=abc; Path=/", "Set-Cookie: [redacted]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- rest", "[redacted] rest"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE and no end", "[redacted]"),
    ],
)
def test_secrets_that_a_name_gives_away_are_masked(text: str, left: str) -> None:
    assert Redactor().text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "connection refused",
        "Unexpected token: something",
        "task-management-and-planning-board",
        "Bearer authentication required",
        "Basic authentication failed",
        "no route to 'booked': search (failed 3 times)",
        "https://example.com:8080/path?page=2",
        "keyJoinedWithOthers",
        "the password is wrong",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert Redactor().text(text) is text


@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY",
        "GITHUB_TOKEN",
        "DB_PASSWORD",
        "client_secret",
        "SECRET_VALUE",
        "apiKey",
        "authtoken",
        "X-Api-Key",
    ],
)
def test_names_of_secrets_are_known(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    ["PWD", "PATH", "HOME", "key", "monkey", "input_tokens", "KEY_FILE", "SSH_AUTH_SOCK", "token_count", "", "_"],
)
def test_other_names_are_not_taken_for_secrets(name: str) -> None:
    assert not looks_secret(name)


def test_secrets_of_the_environment_are_masked_and_other_values_are_not() -> None:
    environ = {"SERVICE_TOKEN": "abcd1234efgh", "SHORT_TOKEN": "abc", "GREETING": "good morning", "PWD": "some/where"}
    redactor = Redactor.from_environment(environ)
    text = "abcd1234efgh abc good morning some/where"
    assert redactor.text(text) == f"{MASK} abc good morning some/where"


def test_a_value_under_a_secret_name_is_masked_whatever_it_is() -> None:
    data = {"password": 12345678, "token": "short", "auth": {"user": "bob", "api_key": "x"}, "has_token": True}
    assert Redactor().data(data) == {
        "password": MASK,
        "token": MASK,
        "auth": {"user": "bob", "api_key": MASK},
        "has_token": True,
    }


def test_a_secret_registered_later_is_masked_from_then_on() -> None:
    redactor = Redactor()
    assert redactor.text("opensesame!") == "opensesame!"
    redactor.register("opensesame!")
    assert redactor.text("opensesame!") == MASK


@pytest.mark.parametrize(
    "evil",
    [
        "eyJ",
        "sk-",
        "://:",
        "token=",
        "-----BEGIN PRIVATE KEY-----",
        "bearer ",
        "authorization: ",
        '":',
        "xox",
        "://a:b",
        "a",
    ],
)
def test_no_text_makes_the_patterns_run_away(evil: str) -> None:
    text = evil * (400_000 // len(evil))
    start = time.process_time()  # the processor's time, which no clock of ours tells
    Redactor(["aaaaaaab", "bearer x"]).text(text)
    assert time.process_time() - start < 5
