"""The scripted model server itself, on both event loops."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from agentroute.testing import ModelServer, Reply


@pytest.mark.anyio
async def test_it_replies_in_order_and_then_says_that_it_has_none_left() -> None:
    async with ModelServer([Reply("one"), Reply("two")]) as server, httpx.AsyncClient() as client:
        answers = [await client.post(f"{server.base_url}/chat/completions", json={"messages": []}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 500]
    assert answers[1].json()["choices"][0]["message"]["content"] == "two"
    assert "2 replies, this is request 3" in answers[2].text


@pytest.mark.anyio
async def test_it_counts_tokens_of_what_it_read_and_wrote() -> None:
    async with ModelServer(Reply("12345")) as server, httpx.AsyncClient() as client:
        body = {"messages": [{"role": "user", "content": "x" * 40}]}
        answer = await client.post(f"{server.base_url}/chat/completions", json=body)
    assert answer.json()["usage"] == {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}


@pytest.mark.anyio
async def test_it_knows_one_path() -> None:
    async with ModelServer(Reply("hello")) as server, httpx.AsyncClient() as client:
        answer = await client.post(f"{server.base_url}/embeddings", json={})
    assert answer.status_code == 404
    assert not server.requests


def test_it_can_come_back_on_its_port() -> None:
    server = ModelServer(Reply("hello"))
    for _ in range(3):
        with server:
            url = f"{server.base_url}/chat/completions"
            assert httpx.post(url, json={"messages": []}).status_code == 200
        with pytest.raises(httpx.ConnectError):
            httpx.post(url, json={"messages": []})
    server.close()


def test_it_refuses_a_script_with_an_unknown_word(tmp_path: Path) -> None:
    script = tmp_path / "replies.json"
    script.write_text('[{"contents": "hello"}]')
    command = [sys.executable, "-m", "agentroute.testing.model_server", "--script", str(script)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode != 0
    assert "contents" in ended.stderr
