"""Documents of all kinds: read as they should be, or refused in one sentence."""

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from qa import InputError, documents
from qa.documents import LIMITS, Document, Limits
from tests.document_files import docx, notes, packed, paragraph, pdf, pdf_of_streams

SENTENCE = re.compile(r"[^\n.]+(\.\w+)?[^\n.]*[;:] [^\n;]+\.")

# What an encrypted PDF says in its trailer, with keys that fit no password.
LOCKED = (
    b"/ID [<00> <00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 "
    b"/O <" + b"11" * 32 + b"> /U <" + b"22" * 32 + b"> >> "
)


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path, limits: Limits = LIMITS) -> str:
    """Return the sentence with which a file is refused."""
    with pytest.raises(InputError) as caught:
        documents.read(path, limits)
    assert SENTENCE.fullmatch(str(caught.value)), str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Käte 🖍️\r\nsang.".encode(), "Käte 🖍️\r\nsang."),
        ("Käte".encode("utf-8-sig"), "Käte"),
        ("Käte".encode("utf-16"), "Käte"),
        ("Käte sang.".encode("utf-16-be"), "Käte sang."),
        ("Käte sang.".encode("utf-16-le"), "Käte sang."),
        ("Käte".encode("utf-32"), "Käte"),
        ("“Käte” cost 5 €".encode("cp1252"), "“Käte” cost 5 €"),
        (b"\x81 is no letter of Windows-1252", "\x81 is no letter of Windows-1252"),
        (b"A NUL\0 among letters" + b"." * 99, "A NUL\0 among letters" + "." * 99),
    ],
)
def test_plain_text_in_any_encoding(tmp_path: Path, data: bytes, text: str) -> None:
    for name in ("note.txt", "note.md", "note"):
        assert documents.read(write(tmp_path / name, data)) == Document(text)


def test_html_is_its_text_alone(tmp_path: Path) -> None:
    page = """<!doctype html><html><head><title>Title</title><style>p {color: red}</style>
      <script>document.write("<p>script</p>")</script></head><body><!-- comment -->
      <h1>The   lamp</h1><p>Mara <b>Qu</b>ill lit it &mdash; in&nbsp;1874,<br>at dusk.
      <p onclick="attribute()">It was ex&shy;tra<i>ordinary</i>.<noscript>noscript</noscript>
      <table><tr><th>Name<th>Height</tr><tr><td>Skerry</td><td> 38 m </td></tr></table>
      <ul><li>one</li> <li>two</ul><pre>kept\n  lines</pre><template>template</template>end"""
    assert documents.read(write(tmp_path / "a.html", page)).text == (
        "The lamp\n\nMara Quill lit it — in\u00a01874,\nat dusk.\n\nIt was extraordinary.\n\n"
        "Name\tHeight\nSkerry\t38 m\n\none\ntwo\n\nkept\nlines\n\nend"
    )


def test_html_says_its_encoding(tmp_path: Path) -> None:
    page = '<meta charset="iso-8859-2"><p>Řeka'.encode("iso-8859-2")
    assert documents.read(write(tmp_path / "a.htm", page)).text == "Řeka"
    page = '<meta charset="no-such"><p>Řeka'.encode()
    assert documents.read(write(tmp_path / "b.htm", page)).text == "Řeka"
    page = b'<meta charset="iso-8859-1"><p>the lamp\x92s light'  # as browsers read it
    assert documents.read(write(tmp_path / "c.htm", page)).text == "the lamp\u2019s light"
    page = '<meta charset="utf-16"><p>Řeka'.encode()
    assert documents.read(write(tmp_path / "d.htm", page)).text == "Řeka"


def test_what_is_unseen_ends_with_its_own_end(tmp_path: Path) -> None:
    page = b"<p>Lamp <object><object></object>unseen</object><svg><title>x</svg>light"
    assert documents.read(write(tmp_path / "a.html", page)).text == "Lamp light"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such pipes here")
def test_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def read(data: bytes, limits: Limits = LIMITS) -> Document:
        with ThreadPoolExecutor() as pool:
            found = pool.submit(documents.read, pipe, limits)
            with suppress(BrokenPipeError), pipe.open("wb") as file:
                file.write(data)
            return found.result()

    text = "The lamp was lit. " * 1000
    assert read(text.encode()).text == text
    with pytest.raises(InputError, match="has more than 0 MB"):
        read(text.encode(), Limits(bytes=9000))
    with pytest.raises(InputError, match="no file but a pipe"):
        read(pdf([["Lamp"]]))


def test_docx_is_its_text(tmp_path: Path) -> None:
    cell = "<w:tc>{}</w:tc>"
    row = f"<w:tr>{cell.format(paragraph('Skerry'))}{cell.format(paragraph('38 m') * 2)}</w:tr>"
    text_box = (
        '<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        f"<mc:Choice>{paragraph('In a box.')}</mc:Choice>"
        f"<mc:Fallback>{paragraph('In a box.')}</mc:Fallback></mc:AlternateContent>"
    )
    body = (
        paragraph("Mara Quill <lit> it & left.")
        + "<w:p><w:r><w:t>Tab</w:t><w:tab/><w:t>stop</w:t><w:br/><w:t>twenty</w:t>"
        "<w:noBreakHyphen/><w:t>one</w:t><w:softHyphen/><w:instrText>PAGE</w:instrText></w:r></w:p>"
        "<w:p><w:del><w:r><w:delText>deleted</w:delText></w:r></w:del><w:ins><w:r><w:t>inserted"
        "</w:t></w:r></w:ins><w:moveFrom><w:r><w:t>moved</w:t></w:r></w:moveFrom></w:p>"
        f"<w:tbl>{row}{row}</w:tbl>{text_box}"
    )
    parts = {
        "word/footnotes.xml": notes("footnotes", paragraph("A footnote.")),
        "word/media/image.png": "not read",
    }
    assert documents.read(docx(tmp_path / "a.docx", body, parts)) == Document(
        "Mara Quill <lit> it & left.\nTab\tstop\ntwenty-one\ninserted\n"
        "Skerry\t38 m 38 m\nSkerry\t38 m 38 m\nIn a box.\n\nA footnote."
    )


def test_pdf_paragraphs_are_whole_again(tmp_path: Path) -> None:
    first = [
        "The lamp",
        None,
        "The keeper of the light had extraordi-",
        "nary duties, some of them well-known, some",
        "not. It was a well-",
        "known lamp that he polished each day, and",
        "nobody helped.",
        "A second paragraph begins after a short",
        "line, and so do items:",
        "• one item, which is as long as a line is",
        "• another",
        None,
        None,
        "The last sentence of the page runs on and",
    ]
    second = ["on, to the second page.", None, "(C) The end — “fin”."]
    document = documents.read(write(tmp_path / "a.pdf", pdf([first, [], second])))
    assert document.text == (
        "The lamp\n\n"
        "The keeper of the light had extraordinary duties, some of them well-known, some not. It "
        "was a well-known lamp that he polished each day, and nobody helped.\n"
        "A second paragraph begins after a short line, and so do items:\n"
        "• one item, which is as long as a line is\n• another\n\n"
        "The last sentence of the page runs on and on, to the second page.\n\n"
        "(C) The end — “fin”."
    )
    third_page = document.text.index("on, to the second")
    assert document.pages == (0, third_page - 1, third_page)
    assert [document.page_at(at) for at in (0, third_page - 2, third_page, 10**6)] == [1, 1, 3, 3]


def test_two_columns_and_running_heads(tmp_path: Path) -> None:
    def page(number: int) -> bytes:
        def line(x: int, y: int, text: str) -> str:
            return f"BT /F1 10 Tf {x} {y} Td ({text}) Tj ET"

        left = [
            f"Left column of page {number}, set",
            "in short lines that end where",
            "the column ends and",
        ]
        right = ["goes on at the top of the right", "one until it is full."]
        drawn = [line(72, 800, f"A journal of lamps {number}")]
        drawn += [line(72, 700 - 12 * i, text) for i, text in enumerate(left)]
        drawn += [line(320, 700 - 12 * i, text) for i, text in enumerate(right)]
        drawn += [line(290, 40, str(number))]
        return "\n".join(drawn).encode()

    document = documents.read(
        write(tmp_path / "a.pdf", pdf_of_streams([page(n) for n in range(1, 4)], packed=True))
    )
    assert document.text == "\n\n".join(
        f"Left column of page {n}, set in short lines that end where the column ends and goes on "
        "at the top of the right one until it is full."
        for n in range(1, 4)
    )


def test_a_document_without_pages_has_no_page() -> None:
    assert Document("text").page_at(2) is None


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.pdf", b"not a pdf", "is no PDF file, whatever its name says"),
        ("a.docx", b"not packed", "is no DOCX file, whatever its name says"),
        ("a.txt", pdf([["Text"]]), "is no plain-text file, whatever its name says"),
        ("a.html", pdf([["Text"]]), "is no HTML file, whatever its name says"),
        ("a.docx", pdf([["Text"]]), "is no DOCX file, whatever its name says"),
        ("a.txt", b"\x89PNG\r\n\x1a\n" + bytes(100), "is no text"),
        ("a.html", b"\x89PNG\r\n\x1a\n" + bytes(100), "is damaged or no HTML file"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an old Word file or protected"),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an old Word file or protected"),
        ("a.rtf", b"{\\rtf1 text}", "is an RTF file"),
        ("a.zip", b"PK\x03\x04", "is a packed file"),
        ("a.docx", b"PK\x03\x04 and no more", "is damaged or no DOCX file"),
        ("a.pdf", b"%PDF-1.7\nand no more", "is damaged or no PDF file"),
        ("a.pdf", pdf([["Text"]])[:400], "is damaged or no PDF file"),
        ("a.pdf", pdf([["Text"]], extra=LOCKED), "is protected by a password"),
        ("a.pdf", pdf([[], []]), "has no text in it; if there are pictures of text"),
        ("a.pdf", b"", "is empty"),
        ("a.docx", b"", "is empty"),
        ("a.txt", b"", "is empty"),
        ("a.txt", b" \n\t", "has no text in it"),
        ("a.html", b"<script>1</script>", "has no text in it"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    assert refusal(write(tmp_path / name, content)).startswith(f"{name} {says}")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "missing.pdf")
    assert "cannot be read" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(bytes=900), "has more than 0 MB"),
        (Limits(pages=2), "has more than 2 pages"),
        (Limits(characters=20), "has more than 20 characters"),
    ],
)
def test_limits_of_a_pdf(tmp_path: Path, limits: Limits, says: str) -> None:
    file = write(tmp_path / "a.pdf", pdf([["Some text."]] * 3))
    assert documents.read(file, Limits(bytes=10_000, pages=3, characters=60))
    assert says in refusal(file, limits)


@pytest.mark.parametrize("name", ["a.txt", "a.html"])
def test_limit_of_characters(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / name, "x" * 21)
    assert documents.read(file, Limits(characters=21))
    assert "has more than 20 characters" in refusal(file, Limits(characters=20))


def test_packed_bombs(tmp_path: Path) -> None:
    bomb = docx(tmp_path / "bomb.docx", paragraph("A" * 20_000_000))
    assert bomb.stat().st_size < 50_000
    assert "unpacks to more" in refusal(bomb)
    text = " ".join(map(str, range(200_000)))
    honest = docx(tmp_path / "honest.docx", paragraph(text))
    assert documents.read(honest).text == text
    assert "unpacks to more" in refusal(honest, Limits(unpacked=1_000_000))
    # One that says that it is small, and is not.
    data = bytearray(bomb.read_bytes())
    size = (20_000_000 + len(paragraph(""))).to_bytes(4, "little")[2:]
    place = data.rindex(b"PK\x01\x02")
    assert size in data[place:]
    data[place + 24 : place + 28] = (1000).to_bytes(4, "little")
    assert "is damaged" in refusal(write(tmp_path / "liar.docx", bytes(data)))


def test_entities_are_refused(tmp_path: Path) -> None:
    laughs = '<!DOCTYPE w [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    assert "is damaged" in refusal(docx(tmp_path / "a.docx", paragraph("b"), before=laughs))
    outside = '<!DOCTYPE w [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    body = "<w:p><w:r><w:t>&a;</w:t></w:r></w:p>"
    assert "is damaged" in refusal(docx(tmp_path / "b.docx", body, before=outside))


def test_a_docx_without_a_body(tmp_path: Path) -> None:
    assert "is damaged" in refusal(packed(tmp_path / "a.docx", {"a.txt": "text"}))
    assert "is damaged" in refusal(docx(tmp_path / "b.docx", "<w:p>"))


def test_a_locked_member(tmp_path: Path) -> None:
    data = bytearray(docx(tmp_path / "a.docx", paragraph("secret")).read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = -1
        while (place := data.find(mark, place + 1)) >= 0:
            data[place + flags] |= 1
    assert "is protected by a password" in refusal(write(tmp_path / "b.docx", bytes(data)))


def endless(megabytes: int) -> bytes:
    """Return a PDF of one page that draws for a long time, in few bytes."""
    return pdf_of_streams([b"BT /F1 9 Tf (A) Tj ET\n" * (megabytes * 45_000)], packed=True)


def test_a_pdf_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "a.pdf", endless(40))
    assert file.stat().st_size < 200_000
    monkeypatch.setattr(documents, "SECONDS", 1)
    begun = time.monotonic()
    assert "takes longer than 1 seconds" in refusal(file)
    assert time.monotonic() - begun < 5


def test_a_pdf_that_takes_too_much_memory_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("resource")
    file = write(tmp_path / "a.pdf", endless(8))
    monkeypatch.setattr(documents, "MEMORY", 200_000_000)
    assert "is damaged" in refusal(file)


def test_a_pdf_is_read_where_python_keeps_out_of_its_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    assert documents.read(write(tmp_path / "a.pdf", pdf([["Ada rang."]]))).text == "Ada rang."


def test_extraction_does_not_load_the_model_runtime() -> None:
    sources = Path(documents.__file__).with_name("extraction").glob("*.py")
    assert not [file for file in sources if re.search(r"(from|import) qa", file.read_text())]
