"""PDF, DOCX and ZIP files for tests, written byte by byte: good ones, and what is done with them to
lead a reader astray."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

LEADING = 14  # points from line to line
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
    'relationships/officeDocument" Target="word/document.xml"/></Relationships>'
)


def pdf(pages: Iterable[Sequence[str | None]], *, extra: bytes = b"") -> bytes:
    """Return a PDF with these lines of 12 point Helvetica on its pages; None leaves a line empty.

    `extra` goes into the trailer.
    """
    return pdf_of_streams([_stream(lines) for lines in pages], extra=extra)


def pdf_of_streams(streams: Sequence[bytes], *, extra: bytes = b"", packed: bool = False) -> bytes:
    """Return a PDF whose pages draw these content streams."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(streams)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(streams)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for i, stream in enumerate(streams):
        data = zlib.compress(stream, 9) if packed else stream
        way = "/Filter /FlateDecode " if packed else ""
        objects += [
            (
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
                f"/Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * i} 0 R >>"
            ).encode(),
            f"<< {way}/Length {len(data)} >>\nstream\n".encode() + data + b"\nendstream",
        ]
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    table = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{place:010} 00000 n \n".encode() for place in places)
    out += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R ".encode() + extra
    return bytes(out) + f">>\nstartxref\n{table}\n%%EOF\n".encode()


def _stream(lines: Sequence[str | None]) -> bytes:
    drawn = []
    for number, line in enumerate(lines):
        if line is not None:
            text = line.encode("cp1252").replace(b"\\", b"\\\\")
            text = text.replace(b"(", b"\\(").replace(b")", b"\\)")
            place = f"BT /F1 12 Tf 72 {770 - LEADING * number} Td (".encode()
            drawn.append(place + text + b") Tj ET")
    return b"\n".join(drawn)


def paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{escape(text)}</w:t></w:r></w:p>"


def docx(path: Path, body: str, parts: Mapping[str, str] = {}, *, before: str = "") -> Path:
    """Write a DOCX with this body (WordprocessingML) and further parts by name; `before` stands
    before the document's root element."""
    document = f'{before}<w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>'
    return packed(path, {"_rels/.rels": _RELATIONS, "word/document.xml": document, **parts})


def notes(kind: str, body: str) -> str:
    """Return a part with footnotes or endnotes."""
    return f'<w:{kind} xmlns:w="{_WORD}"><w:{kind[:-1]}>{body}</w:{kind[:-1]}></w:{kind}>'


def packed(path: Path, parts: Mapping[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return path
