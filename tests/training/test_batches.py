"""What batches hold, and that they depend on nothing but the seed and the position."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from training.batches import Batch, Batches, Position
from training.data import Corpus

families = pytest.mark.parametrize("family", ["bert", "mpnet"])
Make = Callable[[str], Tokenizer]


def batches(corpus: Corpus, **changes: float) -> Batches:
    settings = {"tokens": 400, "longest": 120, "unanswerable": 0.25} | changes
    return Batches(corpus, pad_id=1, **settings)


def epoch(source: Batches, number: int = 0) -> list[Batch]:
    """All batches of one epoch."""
    found = []
    for batch, following in source.after(Position(number)):
        found.append(batch)
        if following.epoch > number:
            return found
    raise AssertionError("batches ended")


def lengthened(corpus: Corpus) -> Corpus:
    """The same with paragraphs too long for a sequence."""
    corpus.paragraphs = [
        replace(text, ids=np.concatenate([text.ids] * 9)) for text in corpus.paragraphs
    ]
    return corpus


def text_of(tokenizer: Tokenizer, ids: torch.Tensor) -> str:
    return tokenizer.decode(ids.tolist(), skip_special_tokens=True)


def parts(tokenizer: Tokenizer, batch: Batch, row: int) -> tuple[str, str]:
    """Question and passage of a row."""
    passage = batch.candidates[row].clone()
    passage[0] = False
    first = int(passage.nonzero()[0])
    asked = text_of(tokenizer, batch.input_ids[row, :first])
    return asked, text_of(tokenizer, batch.input_ids[row][passage])


@families
def test_every_question_is_asked_and_its_span_is_the_answer(
    family: str, squad: Path, tokenizer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.batches.CHUNK", 20)  # several chunks an epoch
    made = tokenizer(family)
    corpus = Corpus.read([squad], made)
    articles = json.loads(squad.read_text())["data"]
    answers = {
        item["question"].lower().replace("?", " ?"): item["answers"][0]["text"].lower()
        for article in articles
        for paragraph in article["paragraphs"]
        for item in paragraph["qas"]
    }
    seen = []
    for batch in epoch(batches(corpus)):
        for row in range(len(batch.start) - len(batch.pair_of)):
            asked, _ = parts(made, batch, row)
            span = batch.input_ids[row, batch.start[row] : batch.end[row] + 1]
            assert text_of(made, span) == answers[asked]
            seen.append(asked)
    assert sorted(seen) == sorted(answers)


@families
def test_unanswerable_rows_ask_the_same_of_a_paragraph_without_the_answer(
    family: str, squad: Path, tokenizer: Make
) -> None:
    made = tokenizer(family)
    corpus = Corpus.read([squad], made)
    homes = {tuple(q.ids): q.paragraph for q in corpus.questions}
    pairs = 0
    for batch in epoch(batches(corpus)):
        answered = len(batch.start) - len(batch.pair_of)
        for row, partner in enumerate(batch.pair_of.tolist(), answered):
            asked, other = parts(made, batch, row)
            own_question, own = parts(made, batch, partner)
            span = batch.input_ids[partner, batch.start[partner] : batch.end[partner] + 1]
            assert partner < answered
            assert asked == own_question
            assert own != other
            assert text_of(made, span) not in other
            assert batch.start[row] == batch.end[row] == 0
            home = homes[tuple(made.encode(asked, add_special_tokens=False).ids)]
            article = corpus.paragraphs[home // 6 * 6 : home // 6 * 6 + 6]
            assert other in [text_of(made, torch.tensor(text.ids)) for text in article]
            pairs += 1
    assert 8 <= pairs <= 28  # a quarter of 72 questions, drawn at random


def test_every_question_is_asked_twice_once_in_four_epochs(squad: Path, tokenizer: Make) -> None:
    made = tokenizer("mpnet")
    source = batches(Corpus.read([squad], made))
    twice = [
        parts(made, batch, row)[0]
        for number in range(4)
        for batch in epoch(source, number)
        for row in batch.pair_of.tolist()
    ]
    assert len(twice) == len(set(twice)) == len(source.corpus.questions)


@families
def test_frame_masks_and_types(family: str, squad: Path, tokenizer: Make) -> None:
    made = tokenizer(family)
    batch = epoch(batches(Corpus.read([squad], made)))[0]
    made.no_padding()
    made.no_truncation()
    for row in range(len(batch.start)):
        asked, passage = parts(made, batch, row)
        whole = made.encode(asked, passage)
        length = len(whole.ids)
        assert batch.input_ids[row, :length].tolist() == whole.ids
        assert (batch.input_ids[row, length:] == 1).all()
        assert batch.attention_mask[row].tolist() == [1] * length + [0] * (
            batch.input_ids.shape[1] - length
        )
        assert not batch.candidates[row, length - 1 :].any()  # the last token frames the passage
        if family == "bert":
            assert batch.token_type_ids[row, :length].tolist() == whole.type_ids


def test_long_paragraphs_are_cut_around_the_answer(squad: Path, tokenizer: Make) -> None:
    made = tokenizer("bert")
    source = batches(lengthened(Corpus.read([squad], made)), tokens=1000)
    cuts = set()
    for batch in [*epoch(source), *epoch(source, 1)]:
        assert batch.input_ids.shape[1] <= 128
        answered = len(batch.start) - len(batch.pair_of)
        inside = batch.candidates.gather(1, torch.stack([batch.start, batch.end], 1))
        assert inside.all()
        assert (batch.end[:answered] >= batch.start[:answered]).all()
        cuts |= set(batch.start[:answered].tolist())
    assert len(cuts) > 20  # the cut is random


def test_answer_is_inside_every_cut(squad: Path, tokenizer: Make) -> None:
    made = tokenizer("bert")
    corpus = Corpus.read([squad], made)
    question = corpus.questions[1]
    home = corpus.paragraphs[question.paragraph]
    wanted = home.ids[question.start : question.end + 1].tolist()
    padding = np.full(150, 1)
    lengthy = replace(home, ids=np.concatenate([padding, home.ids, padding]))
    corpus.paragraphs[question.paragraph] = lengthy
    span = (question.start + 150, question.end + 150)
    for seed in range(50):
        row = batches(corpus)._row(1, question.paragraph, span, np.random.default_rng(seed))
        assert row.framed.ids[row.start : row.end + 1].tolist() == wanted
        assert len(row.framed.ids) == 120


def test_batches_keep_the_token_budget(squad: Path, tokenizer: Make) -> None:
    source = batches(Corpus.read([squad], tokenizer("bert")))
    sizes = [batch.input_ids.numel() for batch in epoch(source)]
    assert max(sizes) <= 400
    assert sorted(sizes)[len(sizes) // 2] > 250


def test_any_position_goes_on_as_if_reached(
    squad: Path, tokenizer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.batches.CHUNK", 20)  # several chunks an epoch
    corpus = lengthened(Corpus.read([squad], tokenizer("mpnet")))
    reached = list(islice(batches(corpus).after(Position()), 60))
    assert {position.epoch for _, position in reached} >= {0, 1}
    assert len({position.chunk for _, position in reached}) == 4
    for done in (1, 7, 20, 33, 50):
        _, position = reached[done - 1]
        fresh = batches(corpus).after(position)
        for expected, following in reached[done : done + 4]:
            batch, position = next(fresh)
            assert position == following
            assert torch.equal(batch.input_ids, expected.input_ids)
            assert torch.equal(batch.start, expected.start)
            assert torch.equal(batch.pair_of, expected.pair_of)


def test_seed_and_epoch_change_the_order(squad: Path, tokenizer: Make) -> None:
    corpus = Corpus.read([squad], tokenizer("mpnet"))

    def first(seed: int, number: int) -> list[int]:
        batch, _ = next(batches(corpus, seed=seed).after(Position(number)))
        return batch.input_ids.flatten().tolist()

    assert first(0, 0) == first(0, 0)
    assert first(0, 0) != first(1, 0)
    assert first(0, 0) != first(0, 1)
