"""SDKs that take an HTTP client and check its type: the real openai and anthropic packages, on a fake of their APIs."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.integration.tools_kit import ROUNDS, WIRES, alone, clients, needs

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def events(*data: dict[str, Any], named: bool = False, end: str = "") -> bytes:
    """A body of server-sent events."""
    lines = []
    for one in data:
        lines.append((f"event: {one['type']}\n" if named else "") + f"data: {json.dumps(one)}\n\n")
    return ("".join(lines) + end).encode()


def openai_answer(request: Any) -> Any:
    """The parts of OpenAI's API that the scenario uses."""
    from meshlib.testing import Fault

    if request.method == "GET":
        return Fault.ok(body=b'{"object": "list", "data": [{"id": "m1", "object": "model"}]}', headers=JSON)
    if not json.loads(request.body).get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
        return Fault.ok(body=json.dumps({"id": "c1", "choices": [choice]}).encode(), headers=JSON)
    parts = [{"id": "c1", "choices": [{"index": 0, "delta": {"content": word}}]} for word in ("hel", "lo")]
    return Fault.ok(body=events(*parts, end="data: [DONE]\n\n"), headers=SSE, chunked=True)


def anthropic_answer(request: Any) -> Any:
    """The same for Anthropic's."""
    from meshlib.testing import Fault

    if request.method == "GET":
        return Fault.ok(body=b'{"data": [{"id": "m1", "type": "model"}], "has_more": false}', headers=JSON)
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {
        "id": "a1",
        "type": "message",
        "role": "assistant",
        "model": "m1",
        "content": [],
        "usage": usage,
    }
    if not json.loads(request.body).get("stream"):
        said = {**message, "content": [{"type": "text", "text": "hello"}]}
        return Fault.ok(body=json.dumps(said).encode(), headers=JSON)
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
        for word in ("hel", "lo")
    ]
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    stop = {"type": "content_block_stop", "index": 0}
    body = events({"type": "message_start", "message": message}, start, *deltas, stop, END, named=True)
    return Fault.ok(body=body, headers=SSE, chunked=True)


JSON = {"Content-Type": "application/json"}
SSE = {"Content-Type": "text/event-stream"}
END = {"type": "message_stop"}
PROMPT: dict[str, Any] = {"model": "m1", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}


def openai_text(part: Any) -> str:
    """What one event of OpenAI's adds."""
    return part.choices[0].delta.content or ""


def anthropic_text(part: Any) -> str:
    """What one event of Anthropic's adds."""
    return part.delta.text if part.type == "content_block_delta" else ""


def sdk(name: str) -> tuple[Any, Any, Any, Any, Any, str]:
    """Its client classes, its fake, where it makes messages, how an event of a stream is read, and the base URL's path."""
    if name == "openai":
        import openai

        return openai.OpenAI, openai.AsyncOpenAI, openai_answer, _chat, openai_text, "/v1"
    import anthropic

    return anthropic.Anthropic, anthropic.AsyncAnthropic, anthropic_answer, _messages, anthropic_text, ""


def _chat(client: Any) -> Any:
    return client.chat.completions


def _messages(client: Any) -> Any:
    return client.messages


def said(answer: Any) -> str:
    """The text of a whole answer."""
    return answer.choices[0].message.content if hasattr(answer, "choices") else answer.content[0].text


def scenario(name: str, family: str) -> Any:
    """On each wire a list that is answered 503 at first, a message, and a streamed message; sync and async."""
    from meshlib.testing import Fault, FaultServer

    made = clients(family)
    sync, asynchronous, fake, home, text, path = sdk(name)
    shared = {"base_url": f"http://llm{path}", "api_key": "key", "max_retries": 0}
    seen: list[Any] = []

    async def calls(options: dict[str, Any]) -> None:
        async with (
            made.AsyncClient("http://llm", **options) as http,
            asynchronous(http_client=http, **shared) as client,
        ):
            seen.append([model.id async for model in client.models.list()])
            seen.append(said(await home(client).create(**PROMPT)))
            stream = await home(client).create(stream=True, **PROMPT)
            seen.append("".join([text(part) async for part in stream]))

    with FaultServer() as server:
        for wire in WIRES:
            options = {"discovery": f"static://{server.address}", "policy": {"wire": wire}}
            server.behave(Fault.ok(status=503), default=fake)
            with made.Client("http://llm", **options) as http, sync(http_client=http, **shared) as client:
                seen.append([model.id for model in client.models.list()])
                seen.append(said(home(client).create(**PROMPT)))
                seen.append("".join(text(part) for part in home(client).create(stream=True, **PROMPT)))
            server.behave(Fault.ok(status=503), default=fake)
            asyncio.run(calls(options))
        return {"seen": seen, "requests": len(server.requests), "refusal": refusal(name)}


def refusal(name: str) -> str:
    """What the SDK says to a client on httpx."""
    with clients("httpx").Client("http://llm") as http:
        try:
            sdk(name)[0](http_client=http, api_key="key")
        except TypeError as error:
            return str(error)
    return ""


@pytest.mark.parametrize(
    ("name", "family"), [("openai", "httpx"), ("openai", "httpx2"), ("anthropic", "httpx2")]
)
def test_the_sdk_works_on_our_client(name: str, family: str) -> None:
    """Its type check passes, answers and streams arrive, and what failed was retried by the mesh alone.

    Anthropic's takes clients on httpx2 only: its own rule, which a subclass cannot and should not get around.
    """
    needs(name)
    seen = alone(scenario, name, family)
    assert seen["seen"] == [["m1"], "hello", "hello"] * ROUNDS
    assert seen["requests"] == ROUNDS * 4
    assert ("httpx2" in seen["refusal"]) == (name == "anthropic")
