"""Tokens, offsets and windows: against transformers' BERT tokenizer, and their laws on odd
strings."""

import json
from pathlib import Path

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertTokenizer

from qa import Reader, catalog
from qa.catalog import Frame
from qa.errors import QAError
from qa.reader import LONGEST_ANSWER
from qa.windows import (
    _LOOSE,
    _PIECE,
    CLUSTER,
    PIECE_CHARACTERS,
    PIECES_AT_ONCE,
    Passage,
    Windower,
)
from tests.conftest import LARGER
from tests.texts import TRICKY, any_text, prose

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.txt"))
TOKENIZER = catalog.BUNDLED / catalog.DEFAULT / "tokenizer.json"
QUESTION = "Who kept the lamp burning through the winter of the long ice?"


@pytest.fixture(scope="module")
def reference() -> BertTokenizer:
    vocabulary = json.loads(TOKENIZER.read_text(encoding="utf-8"))["model"]["vocab"]
    return BertTokenizer(vocab=vocabulary)


@pytest.mark.parametrize("advance", [1 << 7, 200, 317])
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_windows_are_those_of_transformers(
    windower: Windower, reference: BertTokenizer, file: Path, advance: int
) -> None:
    text = file.read_text(encoding="utf-8")
    question, _ = windower.question(QUESTION)
    passage = windower.passage(text)
    # Peers call the overlap of two windows their stride.
    overlap = windower.frame.max_sequence - 3 - len(question) - advance
    expected = reference(
        QUESTION,
        text,
        max_length=windower.frame.max_sequence,
        truncation="only_second",
        stride=overlap,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    windows = list(windower.windows(question, passage, advance))
    assert [window.input_ids.tolist() for window in windows] == expected["input_ids"]
    assert [window.token_type_ids.tolist() for window in windows] == expected["token_type_ids"]
    assert len(windows) == windower.count(question, passage, advance)
    for window, offsets in zip(windows, expected["offset_mapping"], strict=True):
        spans = offsets[window.offset : window.offset + window.count]
        starts, ends = np.array(spans).T
        tokens = slice(window.first, window.first + window.count)
        # Ours may be wider: they are grown to whole grapheme clusters.
        assert (passage.starts[tokens] <= starts).all()
        assert (passage.ends[tokens] >= ends).all()
        if text.isascii():
            assert (passage.starts[tokens] == starts).all()
            assert (passage.ends[tokens] == ends).all()


# transformers refuses lone surrogates and takes "[SEP]" for its own separator.
@pytest.mark.parametrize("text", [t for t in TRICKY if "[SEP]" not in t and "\ud800" not in t])
def test_token_ids_are_those_of_transformers(
    windower: Windower, reference: BertTokenizer, text: str
) -> None:
    expected = reference(text, add_special_tokens=False)["input_ids"]
    assert windower.passage(text).ids.tolist() == expected


@pytest.mark.parametrize(
    "text",
    [
        prose(3 * PIECE_CHARACTERS // 6) + " " + "日本語" * 50 + "\u3000" + prose(500),
        "lamp,ledger;" * (PIECE_CHARACTERS // 4),
        "." * (3 * PIECE_CHARACTERS),
        "a\x0cb " * PIECE_CHARACTERS,  # where a piece could end there is what is nothing to BERT
    ],
    ids=["prose", "no spaces", "full stops", "form feeds"],
)
def test_long_texts_tokenize_as_whole(windower: Windower, text: str) -> None:
    assert len(text) >= 3 * PIECE_CHARACTERS
    whole = windower._tokenizer.encode(text, add_special_tokens=False)
    passage = windower.passage(text)
    assert passage.ids.tolist() == whole.ids
    assert list(zip(passage.starts, passage.ends, strict=True)) == whole.offsets


def test_a_long_text_without_white_space(windower: Windower) -> None:
    text = "猫" * (3 * PIECE_CHARACTERS)
    assert windower.passage(text).starts.tolist() == list(range(len(text)))


@pytest.mark.parametrize("letter", [".", "a", "か", "¿", "⹀"])
def test_no_text_makes_pieces_long(letter: str) -> None:
    text = letter * (5 * PIECE_CHARACTERS)
    pieces = _PIECE.findall(text)
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= 2 * PIECE_CHARACTERS


def test_whoever_tokenizes_can_end_it_every_few_pieces(windower: Windower) -> None:
    text = "\n" * (3 * PIECES_AT_ONCE * PIECE_CHARACTERS)
    pieces_after_check: list[int] = []
    for _ in windower._pieces(text, lambda: pieces_after_check.append(0)):
        pieces_after_check[-1] += 1
    assert pieces_after_check == [PIECES_AT_ONCE] * 3


@settings(max_examples=1000, deadline=None)
@given(text=st.text(st.sampled_from("a !.¿」\U0001f1e9\U0001f1ea\u200d\u0301\u0e33\u0600👩🏽")))
def test_runs_are_read_once_as_if_from_everywhere(text: str) -> None:
    naive = regex.compile(r"\p{P}+(?!\S)")
    assert [m.span() for m in _LOOSE.finditer(text)] == [m.span() for m in naive.finditer(text)]
    assert CLUSTER.findall(text) == regex.findall(r"\X", text)


@pytest.mark.parametrize("run", ["!", "\U0001f1e9"])
def test_a_long_run_is_no_work(windower: Windower, run: str) -> None:
    text = run * 500_000 + "a"  # reading back from each to the first would take hours
    assert windower.passage(text).ends[-1] == len(text)


def test_special_tokens_in_a_text_are_text(windower: Windower, larger: Reader) -> None:
    ids = windower.passage("[CLS] [SEP] [PAD] [MASK]").ids
    assert not set(ids) & {0, 101, 102, 103}
    ids = larger.windower.passage("<s> </s><pad> <mask>").ids
    assert not set(ids) & {0, 1, 2, 30_526}


def test_mpnet_puts_two_separators_between_question_and_passage(larger: Reader) -> None:
    question, _ = larger.windower.question(QUESTION)
    passage = larger.windower.passage(prose(500))
    windows = list(larger.windower.windows(question, passage, 200))
    assert len(windows) > 2
    for window in windows:
        held = passage.ids[window.first : window.first + window.count].tolist()
        assert window.input_ids.tolist() == [0, *question, 2, 2, *held, 2]
        assert len(window.input_ids) <= larger.card.frame.max_sequence
    assert max(len(window.input_ids) for window in windows) == larger.card.frame.max_sequence


def grapheme_edges(text: str) -> set[int]:
    return {0, *(match.end() for match in regex.finditer(r"\X", text))}


@settings(max_examples=1000, deadline=None)
@given(text=any_text)
def test_answers_can_only_begin_and_end_at_graphemes(windower: Windower, text: str) -> None:
    passage = windower.passage(text)
    edges = grapheme_edges(text)
    assert set(passage.starts[passage.begins]) <= edges
    assert set(passage.ends[passage.closes]) <= edges
    assert (passage.starts < passage.ends).all()
    assert len(passage) == 0 or (passage.begins.any() and passage.closes[-1])
    # Where an answer may begin another may end before it, and nowhere do they share a character.
    closes = passage.closes[:-1]
    assert (closes >= passage.begins[1:]).all()
    assert (passage.ends[:-1][closes] <= passage.starts[1:][closes]).all()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("unbelievably electrophoresis", ["unbelievably", "electrophoresis"]),
        ("cafe\u0301s, e\u0301te\u0301!", ["cafe\u0301s", "e\u0301te\u0301"]),
        ("日本の首都", ["日", "本", "の", "首", "都"]),
        ("東京タワー", ["東", "京", "タ", "ワー"]),
        ("‼\u200d‼", ["‼\u200d‼"]),
        ("İstanbul", ["İstanbul"]),
        ("(c. 1920). -5 % — 3$ … .net", ["(", "c", "1920", "-", "5", "3", "$", ".", "net"]),
        ("* “Who?”, he said; she: …no.", ["“", "Who", "he", "said", "she", "…", "no"]),
        ("?! …", ["?", "!", "…"]),
    ],
)
def test_the_smallest_answers(windower: Windower, text: str, parts: list[str]) -> None:
    passage = windower.passage(text)
    starts, ends = passage.starts[passage.begins], passage.ends[passage.closes]
    smallest = ends[np.searchsorted(ends, starts, "right")]
    assert [text[start:end] for start, end in zip(starts, smallest, strict=True)] == parts


def test_a_word_longer_than_any_answer_can_be_answered_in_part(windower: Windower) -> None:
    passage = windower.passage("q7" * 45)
    assert len(passage) > LONGEST_ANSWER
    assert passage.begins.all()


@settings(max_examples=300, deadline=None)
@given(
    n=st.integers(1, 2000),
    question_length=st.integers(1, 64),
    advance_share=st.floats(0.01, 1),
)
def test_every_token_is_in_a_window_and_every_short_span_in_one(
    windower: Windower, n: int, question_length: int, advance_share: float
) -> None:
    ids = np.arange(n)
    flags = np.ones(n, np.bool_)
    passage = Passage("x" * n, ids, ids, ids + 1, flags, flags)
    question = [7] * question_length
    capacity = windower.capacity(question)
    advance = max(1, int(capacity * advance_share))
    windows = list(windower.windows(question, passage, advance))
    assert len(windows) == windower.count(question, passage, advance)
    assert windows[0].first == 0
    seen = {(w.first, w.first + w.count) for w in windows}
    assert max(stop for _, stop in seen) == n
    overlap = capacity - advance
    for start in range(n):
        stop = min(n, start + max(1, overlap))
        assert any(a <= start and stop <= b for a, b in seen)
    for window in windows:
        assert len(window.input_ids) <= windower.frame.max_sequence
        assert (window.input_ids[window.offset : -1] == ids[window.first :][: window.count]).all()


@pytest.mark.parametrize("advance", [0, -1, 384])
def test_an_advance_that_would_leave_tokens_out_is_refused(
    windower: Windower, advance: int
) -> None:
    question, _ = windower.question(QUESTION)
    with pytest.raises(ValueError, match="advance"):
        next(windower.windows(question, windower.passage("a"), advance))


def test_a_long_question_is_cut(windower: Windower) -> None:
    exact, cut = windower.question("why " * 64)
    assert (len(exact), cut) == (64, False)
    longer, cut = windower.question("why " * 65)
    assert (longer, cut) == (exact, True)


def test_what_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text('{"model": 3}', encoding="utf-8")
    with pytest.raises(QAError, match="not a readable tokenizer"):
        Windower(file, Frame(), LONGEST_ANSWER)


def test_a_tokenizer_of_another_kind_is_refused() -> None:
    with pytest.raises(QAError, match="has no special tokens <s> and </s>"):
        Windower(TOKENIZER, Frame(cls="<s>", sep="</s>"), LONGEST_ANSWER)
    larger = catalog.BUNDLED / LARGER / "tokenizer.json"  # has [CLS] and [SEP] as ordinary words
    with pytest.raises(QAError, match=r"has no special tokens \[CLS\] and \[SEP\]"):
        Windower(larger, Frame(), LONGEST_ANSWER)


def test_passages_asked_about_lately_are_kept(windower: Windower) -> None:
    first = windower.passage("one two three four")
    other = windower.passage("five six")
    assert other.text == "five six"
    assert windower.passage("one two three four") is first
