"""The tools that MCP clients find where the app was started with `--mcp`, and what they give."""

import ast
from collections.abc import Iterator
from typing import Any

import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

from qa import Reader
from tests import loops
from tests.browser.conftest import ROOT, free_port, started, wait_for

pytestmark = pytest.mark.browser

PASSAGE = (ROOT / "examples/lighthouse.txt").read_text(encoding="utf-8")
QUESTION = "How high is the tower?"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    with started(["--port", str(port), "--mcp"]) as process:
        wait_for(url, process)
        yield f"{url}gradio_api/mcp/"


def talk(address: str, tool: str, arguments: dict[str, Any]) -> tuple[set[str], CallToolResult]:
    """Return the names of the tools there are, and what one of them gives."""

    async def session() -> tuple[set[str], CallToolResult]:
        async with (
            streamable_http_client(address) as (incoming, outgoing, _),
            ClientSession(incoming, outgoing) as client,
        ):
            await client.initialize()
            tools = (await client.list_tools()).tools
            for each in tools:
                assert each.description
                parameters = each.inputSchema["properties"]
                assert all(parameter["description"] for parameter in parameters.values())
            return {each.name for each in tools}, await client.call_tool(tool, arguments)

    return loops.run(session())


def test_each_endpoint_is_a_tool(address: str, reader: Reader) -> None:
    asked = {"question": QUESTION, "passage": PASSAGE, "top_k": 1}
    tools, given = talk(address, "answer", asked)
    assert {"answer", "answer_many", "look_inside", "compare", "models"} == tools
    assert isinstance(given.content[0], TextContent)
    told = ast.literal_eval(given.content[0].text)  # Gradio gives what Python prints
    best = reader.answer(QUESTION, PASSAGE).answers[0]
    assert [(a["text"], a["start"]) for a in told["answers"]] == [(best.text, best.start)]


def test_what_is_wrong_is_said(address: str) -> None:
    _, given = talk(address, "answer", {"question": QUESTION, "passage": " "})
    assert given.isError
    assert isinstance(given.content[0], TextContent)
    assert "The passage is empty; paste the text to ask about." in given.content[0].text
