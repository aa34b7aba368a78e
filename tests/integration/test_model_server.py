"""The scripted model server itself, on both event loops."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from agentroute.testing import ModelServer, Reply
from agentroute.testing.model_server import read_script


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


@pytest.mark.anyio
async def test_it_calls_tools() -> None:
    calls = [("find", {"id": 7}), ("tell", {"who": "Ada"})]
    question: Any = {"role": "user", "content": "?"}
    with ModelServer([Reply(tool_calls=calls), Reply(tool_calls=calls[:1])]) as server:
        client = openai.AsyncOpenAI(base_url=server.base_url, api_key="any", max_retries=0)
        first = await client.chat.completions.create(model="m", messages=[question])
        said: Any = first.choices[0].message.model_dump(exclude_none=True)
        second = await client.chat.completions.create(model="m", messages=[question, said])
        await client.close()
    choice = first.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    asked = [call for one in (first, second) for call in one.choices[0].message.tool_calls or ()]
    assert [call.function.name for call in asked if call.type == "function"] == ["find", "tell", "find"]
    assert json.loads(said["tool_calls"][0]["function"]["arguments"]) == {"id": 7}
    assert len({call.id for call in asked}) == 3
    assert second.usage is not None
    assert first.usage is not None
    assert second.usage.prompt_tokens >= first.usage.completion_tokens > 10  # a call is written, and read again


def test_calls_of_tools_can_be_read_from_a_file() -> None:
    script = read_script('{"content": "Looking.", "tool_calls": [["find", {"id": 7}]], "finish_reason": "length"}')
    assert script == Reply("Looking.", tool_calls=[("find", {"id": 7})], finish_reason="length")
    with ModelServer(script) as server:
        answer = httpx.post(f"{server.base_url}/chat/completions", json={"messages": []}).json()
    [choice] = answer["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("length", "Looking.")
