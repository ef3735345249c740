"""The HTTP endpoint, as other programs call it."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client  # type: ignore[import-untyped]
from gradio_client.exceptions import AppError  # type: ignore[import-untyped]

from qa import Reader
from tests.browser.conftest import ROOT, App
from ui.text import carried

pytestmark = pytest.mark.browser

TEXT = ROOT / "examples/lighthouse.txt"
PASSAGE = TEXT.read_text(encoding="utf-8")
QUESTION = "How tall is the tower?"


def call(app: App, *data: object) -> tuple[str, Any]:
    """Call /answer as curl would; return the event's name and its data."""
    url = f"{app.url}gradio_api/call/answer"
    body = json.dumps({"data": data}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        event = json.load(response)["event_id"]
    with urllib.request.urlopen(f"{url}/{event}") as response:
        lines = response.read().decode().strip().split("\n")
    return lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))


def same(result: dict[str, Any]) -> dict[str, Any]:
    """Return what must be the same however often a question is asked: all but how long it took."""
    assert set(result["milliseconds"]) == {"tokenize", "run", "rank", "total"}
    return {**result, "milliseconds": None}


def test_it_gives_what_the_command_line_gives(client: Client) -> None:
    command = [sys.executable, "-m", "qa", "ask", QUESTION, "--text", str(TEXT), "--json"]
    printed = subprocess.run(
        [*command, "--top-k", "2"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    answer = client.predict(QUESTION, PASSAGE, top_k=2, api_name="/answer")
    assert same(answer) == same(json.loads(printed.stdout))
    assert len(answer["answers"]) == 2


def test_model_and_number_of_answers_may_be_left_out(
    app: App, client: Client, reader: Reader
) -> None:
    expected = same(reader.answer(QUESTION, PASSAGE).to_dict())
    named = client.predict(question=QUESTION, passage=PASSAGE, api_name="/answer")
    assert same(named) == expected
    for data in ([QUESTION, PASSAGE], [QUESTION, PASSAGE, None, None]):
        event, (by_position,) = call(app, *data)
        assert event == "complete"
        assert same(by_position) == expected


def test_a_model_is_chosen_by_name(app: App, client: Client) -> None:
    answer = client.predict(QUESTION, PASSAGE, "unsure", api_name="/answer")
    assert same(answer) == {**same(app.unsure.answer(QUESTION, PASSAGE).to_dict())}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("", PASSAGE), "The question is empty; type what you want to know."),
        ((QUESTION, " "), "The passage is empty; paste the text to ask about."),
        ((QUESTION, PASSAGE, "no-such-model"), "There is no model 'no-such-model'; choose one"),
        ((QUESTION, PASSAGE, None, 0), "The number of answers must be a whole number"),
        ((QUESTION, PASSAGE, None, "many"), "The number of answers must be a whole number"),
        ((QUESTION, 7), "The passage must be text, not int."),
        ((QUESTION,), "The passage must be text"),
        ((QUESTION, PASSAGE, "\ud800"), "There is no model"),
    ],
)
def test_bad_input_gets_the_sentence(app: App, arguments: tuple[Any, ...], sentence: str) -> None:
    event, data = call(app, *arguments)
    assert event == "error"
    assert data["error"].startswith(sentence)


def test_clients_get_the_sentence_too(client: Client) -> None:
    with pytest.raises(AppError, match="The passage is empty; paste the text to ask about"):
        client.predict(QUESTION, "", api_name="/answer")


def test_a_folder_cannot_be_named(app: App, unsure_model: Path) -> None:
    event, data = call(app, QUESTION, PASSAGE, str(unsure_model / "unsure"))
    assert event == "error"
    assert data["error"].startswith("There is no model")


def test_odd_characters_are_answered(app: App) -> None:
    passage = "Ann \udfff\ud800 Reed\x00 cast it."
    event, (answer,) = call(app, "Who cast it?\udfff", passage, None, 1)
    assert event == "complete"
    assert answer["answers"]
    for found in answer["answers"]:
        assert found["text"] == carried(passage[found["start"] : found["end"]])


def test_these_are_the_public_endpoints(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)
    public = {"/answer", "/answer_many", "/compare", "/look_inside", "/models"}
    assert set(endpoints["named_endpoints"]) == public
    assert endpoints["unnamed_endpoints"] == {}


@pytest.mark.parametrize(
    "command",
    [["sh", "examples/ask_with_curl.sh"], [sys.executable, "-m", "examples.call_the_api"]],
)
def test_the_examples_call_it(app: App, command: list[str]) -> None:
    done = subprocess.run([*command, app.url], cwd=ROOT, capture_output=True, check=True, text=True)
    assert done.stderr == ""
    assert ("38 metres" if command[0] == "sh" else "3 September 1847") in done.stdout
