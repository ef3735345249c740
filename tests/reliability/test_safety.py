"""Hostile requests: nothing is read, fetched, run or kept that should not be."""

import json
import re
import shutil
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import app
from qa import catalog
from tests.reliability.host import API, Host

ROOT = Path(__file__).resolve().parents[2]
PASSAGE = "The keeper lit the lamp at dusk. Nobody on the island slept that night."
SCRIPT = "<img src=x onerror=alert(1)><script>alert(2)</script>"
META = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module", autouse=True)
def well_in_the_end(host: Host) -> Iterator[None]:
    yield
    assert host.answer("Who lit the lamp?", PASSAGE)["answers"][0]["text"] == "The keeper"


@pytest.fixture(autouse=True)
def still_well(host: Host) -> Iterator[None]:
    """Whatever was sent, the app serves afterwards, and nobody sees a traceback's message."""
    yield
    assert host.get("/health")[0] == 200
    assert "Traceback" not in host.wrote()


@pytest.mark.parametrize(
    "path",
    [
        "file=/etc/hostname",
        "file=../../../../etc/hostname",
        "file=%2e%2e%2f%2e%2e%2fetc/hostname",
        "file=app.py",
        "file=models/minilm-l6-squad-int8/model.json",
        "file=http://127.0.0.1:9/",
        "file=https://example.com/",
        "file/app.py",
        "proxy=https://example.com/",
        "stream/a/b/1/playlist.m3u8",
        "//file=/etc/hostname",
        "./file=/etc/hostname",
        "custom_component/a/client/../../../app.py",
        "custom_component/a/client/b/%0A%7B%22forged%22:1%7D",
        "deep_link?session_hash=x",
        "dev/reload",
        "queue/status",
    ],
)
def test_no_file_and_no_address_is_served(host: Host, path: str) -> None:
    for method in ("GET", "HEAD"):
        status, _, body = host.send(method, f"{API}/{path}")
        assert status == 404, body
        assert Path("/etc/hostname").read_bytes() not in body


def test_nobody_sees_what_is_on_another_visitors_page(host: Host, uploads: Path) -> None:
    secret = "a passage of mine"
    shared = uploads / "deep_links" / "mine"  # as an older copy of the app may have left some
    shared.mkdir(parents=True)
    (shared / "state.json").write_text(json.dumps([{"id": 1, "props": {"value": secret}}]))
    for page in ("/", "/questions", "/config"):
        for name in ("deep_link", "%64eep_link"):
            status, body = host.get(f"{page}?{name}=mine")
            assert status == 404
            assert secret.encode() not in body
    shutil.rmtree(uploads / "deep_links")


@pytest.mark.parametrize(
    "path", ["/monitoring", "/monitoring/summary", "/openapi.json", "/pwa_icon/192"]
)
def test_what_no_page_needs_is_not_served(host: Host, path: str) -> None:
    assert host.get(path)[0] == 404


@pytest.mark.parametrize("path", ["/static/", "/assets/", "/svelte/"])
def test_what_is_served_cannot_be_left(host: Host, path: str) -> None:
    for up in ("../" * 12, "%2e%2e/" * 12, "..%2f" * 12, "/"):
        status, body = host.get(f"{path}{up}etc/hostname")
        assert status in (403, 404), body


def test_what_a_visitor_uploads_no_visitor_can_read(host: Host) -> None:
    status, (path,) = host.upload("mine.txt", b"nobody's business")
    assert status == 200
    quoted = urllib.parse.quote(path)
    for way in (f"{API}/file={quoted}", f"{API}/file/{quoted}", f"/file={quoted}"):
        status, body = host.get(way)
        assert status == 404
        assert b"business" not in body


def test_a_file_is_what_was_sent_and_never_a_path_or_an_address(
    host: Host, tmp_path: Path, spoken_to: Path
) -> None:
    own = tmp_path / "own.txt"
    own.write_text("the owner's own", encoding="utf-8")
    paths = [str(own), "app.py", "../app.py", "http://trap.example/x", "https://trap.example/x"]
    files: list[dict[str, Any]] = [{"path": path} for path in paths]
    files += [{"path": path, "meta": META} for path in paths]
    files += [{"path": "x", "url": "https://trap.example/", "meta": META}]
    for name in ("_open_file", "_read_questions", "_read_passages"):
        ((number, kinds),) = host.events(name)
        for file in files:
            value = [file] if name == "_read_passages" else file
            inputs = [value if kind == "uploadbutton" else None for kind in kinds]
            done = host.event(number, *inputs)
            assert not done["success"], done
    outcome, _ = host.call("answer", {"path": "https://trap.example/x", "meta": META}, PASSAGE)
    assert outcome == "error"
    assert own.exists()
    addresses = spoken_to.read_text(encoding="utf-8")
    assert "trap.example" not in addresses
    assert set(re.findall(r"connect \('([^']+)'", addresses)) <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize(
    "name",
    [
        "../../models/minilm-l6-squad-int8",
        "models/minilm-l6-squad-int8",
        str(catalog.BUNDLED / catalog.DEFAULT),
        "/etc",
        "minilm-l6-squad-int8/../minilm-l6-squad-int8",
        "minilm-l6-squad-int8\0",
        SCRIPT,
    ],
)
def test_a_model_is_a_name_and_never_a_path(host: Host, name: str) -> None:
    outcome, data = host.call("answer", "Who?", PASSAGE, name, 1)
    assert outcome == "error"
    assert data["error"].startswith("There is no model")


@pytest.mark.parametrize(
    "name", ["../../../escaped.txt", "/tmp/escaped.txt", "..\\escaped.txt", "x" * 5000, SCRIPT, ""]
)
def test_file_names_lead_nowhere(host: Host, uploads: Path, name: str) -> None:
    status, answer = host.upload(name, b"text")
    if status == 200:
        assert Path(answer[0]).resolve().is_relative_to(uploads.resolve())
    for folder in (Path("/tmp"), ROOT, *uploads.resolve().parents):
        assert not list(folder.glob("*escaped*"))


def test_file_names_are_drawn_as_text(host: Host) -> None:
    name = "<img src=x onerror=alert(1)>.pdf"
    status, (path,) = host.upload(name, b"no pdf")
    assert status == 200
    ((number, kinds),) = host.events("_open_file")
    file = {"path": path, "orig_name": name, "meta": META}
    inputs = [file if kind == "uploadbutton" else None for kind in kinds]
    drawn = json.dumps(host.event(number, *inputs))
    assert "is no PDF file" in drawn
    assert "<img" not in drawn
    _, (path,) = host.upload("bell.txt", b"Ann Reed rang the bell.")
    ((number, kinds),) = host.events("_read_passages")
    files = [file | {"path": path}]
    drawn = json.dumps(host.event(number, *[files if k == "uploadbutton" else None for k in kinds]))
    assert "&lt;img" in drawn
    assert "<img" not in drawn


def test_what_people_wrote_is_drawn_as_text(host: Host) -> None:
    ((number, kinds),) = host.events("_ask")
    texts = iter([f"Who {SCRIPT}?", f"{SCRIPT} {PASSAGE} {SCRIPT}"])
    inputs: list[Any] = [next(texts) if kind == "textbox" else None for kind in kinds]
    inputs[kinds.index("dropdown") + 1] = 3
    done = host.event(number, *inputs)
    assert done["success"], done
    html = [part for part in done["output"]["data"] if isinstance(part, str) and "vb-" in part]
    assert html
    for part in html:
        assert "<img" not in part
        assert "<script" not in part


@pytest.mark.parametrize(
    "address",
    [
        f"/?q={SCRIPT}",
        f"/?__theme={SCRIPT}",
        f"/models?view={SCRIPT}",
        f"/{SCRIPT}",
        f"/gradio_api/{SCRIPT}",
        f"/?__lang={SCRIPT}&deep_link={SCRIPT}",
    ],
)
def test_addresses_are_not_repeated_as_markup(host: Host, address: str) -> None:
    status, headers, body = host.send("GET", urllib.parse.quote(address, safe="/?=&"))
    assert status < 500
    if "html" in headers.get("content-type", ""):
        assert b"onerror=alert(1)" not in body
        assert b"<script>alert(2)" not in body


def test_named_headers_are_not_repeated_as_markup(host: Host) -> None:
    _, _, body = host.send("GET", "/", x_forwarded_host=SCRIPT, x_forwarded_proto=SCRIPT)
    assert b"<script>alert(2)" not in body


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        '{"data":' + "[" * 50_000 + "]" * 50_000 + "}",
        '{"data":' + '{"a":' * 20_000 + "1" + "}" * 20_000 + "}",
        '{"data":["Who?",' + "[" * 900 + "]" * 900 + "]}",
        '{"data":',
        "",
        "null",
        "[]",
        '{"data":null}',
        '{"data":{}}',
        '{"data":[1e999,NaN,-0]}',
        '{"data":["\\ud800","\\u0000"]}',
        '{"data":["Who?","x"],"session_hash":"../../x","fn_index":99999}',
        "\xff\xfe",
    ],
    ids=range(14),
)
def test_bodies_of_every_kind_are_refused_or_answered(host: Host, body: str) -> None:
    for path in ("call/answer", "call/v2/answer", "queue/join", "run/answer", "cancel", "reset"):
        data = body.encode("latin-1", "replace")
        status, _, answer = host.send(
            "POST", f"{API}/{path}", data, content_type="application/json"
        )
        assert status < 400 or "detail" in json.loads(answer), (path, answer)


# What right calls send.
ENDPOINTS: dict[str, list[Any]] = {
    "/answer": ["Who?", PASSAGE, None, 3],
    "/answer_many": ["Who?", PASSAGE, None, 1],
    "/compare": ["Who?", PASSAGE, 3],
    "/look_inside": ["Who?", PASSAGE, 1],
}
WRONG: list[Any] = [5, True, ["x"], {"path": "/etc"}, "\0", "x", 10**30]


@pytest.mark.long
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_wrong_types_are_one_sentence(host: Host, endpoint: str) -> None:
    right = ENDPOINTS[endpoint]
    for place in range(len(right)):
        for value in WRONG:
            data = [*right[:place], value, *right[place + 1 :]]
            outcome, answer = host.call(endpoint.removeprefix("/"), *data)
            if outcome == "error":
                assert re.fullmatch(r"[A-Za-z_].{10,300}[.)]", answer["error"]), (data, answer)
                assert "request cannot be answered" not in answer["error"], data


def test_named_endpoints_are_those_that_are_meant_to_be(host: Host) -> None:
    named = json.loads(host.get(f"{API}/info")[1])["named_endpoints"]
    assert set(named) == set(ENDPOINTS) | {"/models"}
    outcome, data = host.call("models")
    assert outcome == "complete"
    assert str(ROOT) not in json.dumps(data)


def test_what_is_asked_is_neither_logged_nor_kept(host: Host, temporary: Path) -> None:
    secret = "xylographic quagmire"
    host.answer(f"Whose {secret}?", f"The {secret} of {PASSAGE}")
    host.call("answer", f"Whose {secret}?", 5)
    host.call("answer_many", f"Whose {secret}?", {"x": secret})
    ((number, kinds),) = host.events("_ask")
    assert secret in json.dumps(host.event(number, *[secret] * len(kinds)))  # no such model
    status, (path,) = host.upload(f"{secret}.txt", f"A {secret} in a file.".encode())
    assert status == 200
    ((number, kinds),) = host.events("_open_file")
    file = {"path": path, "orig_name": f"{secret}.txt", "meta": META}
    inputs = [file if kind == "uploadbutton" else None for kind in kinds]
    done = host.event(number, *inputs)
    assert secret in json.dumps(done)
    wrong = [{**file, "path": f"/{secret}"} if kind == "uploadbutton" else None for kind in kinds]
    assert not host.event(number, *wrong)["success"]
    assert secret not in host.wrote()
    for kept in temporary.rglob("*"):
        assert secret not in kept.name
        assert not kept.is_file() or secret.encode() not in kept.read_bytes()


def test_the_log_is_json_and_says_how_it_went(host: Host) -> None:
    host.answer("Who?", PASSAGE)
    host.call("answer", "", PASSAGE)
    lines = [json.loads(line) for line in host.wrote().splitlines() if line.startswith("{")]
    answered, refused = lines[-2:]
    assert set(answered) == {
        *("time", "endpoint", "milliseconds", "questions", "tokens", "windows", "outcome")
    }
    assert answered["endpoint"] == refused["endpoint"] == "/answer"
    assert (answered["outcome"], refused["outcome"]) == ("answered", "refused")
    assert answered["tokens"] > 10


def test_where_mcp_clients_come_nobody_can_be_asked_to_log_in(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert app.main(["--mcp", "--auth", "ada:secret", "--model", "none"]) == 2
    assert capsys.readouterr().err == "--mcp asks nobody to log in; leave it or --auth out.\n"


def test_visitors_can_neither_fetch_remove_nor_add_models(host: Host) -> None:
    names = {event["api_name"] for event in host.config()["dependencies"]}
    assert "_ask" in names
    assert not names & {"_fetch", "_remove", "_add", "_confirm"}
