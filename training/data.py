"""SQuAD-layout files -> tokenized paragraphs and questions.

A question knows its answer's tokens and the most similar other paragraph of its article: one where
the answer does not occur, to learn from that it points nowhere. Sequences are framed as the base's
own tokenizer frames a pair of texts.

Leaves out what is asked when (batches.py) and questions that have no answer in the file (SQuAD
2.0's).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

# In tokens; questions as at evaluation.
LONGEST_QUESTION = 64
SHORTEST_PASSAGE = 16

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Framed:
    """A question and a passage as one sequence; the passage stands from `first` to `last`."""

    ids: Ids
    first: int
    last: int


@dataclass(frozen=True)
class Frame:
    """The special tokens a base puts around a question and a passage."""

    before: Ids
    between: Ids
    after: Ids

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "Frame":
        pair = tokenizer.encode("a", "a")
        special = np.array(pair.special_tokens_mask)
        text = np.flatnonzero(special == 0)
        if len(text) != 2:
            raise ValueError("The tokenizer does not frame a pair of texts as BERT's does.")
        ids = np.array(pair.ids)
        return cls(ids[: text[0]], ids[text[0] + 1 : text[1]], ids[text[1] + 1 :])

    def __len__(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)

    def check(self, longest: int) -> None:
        """Raise ValueError where sequences of so many tokens leave no room for a passage."""
        if longest < LONGEST_QUESTION + len(self) + SHORTEST_PASSAGE:
            raise ValueError(f"Sequences of {longest} tokens leave no room for a passage.")

    def around(self, question: Ids, passage: Ids) -> Framed:
        first = len(self.before) + len(question) + len(self.between)
        ids = np.concatenate([self.before, question, self.between, passage, self.after])
        return Framed(ids, first, first + len(passage) - 1)


@dataclass(frozen=True)
class Tokenized:
    """A text as a tokenizer splits it: n vocabulary numbers, and each token's characters, [n, 2],
    from the first to behind the last."""

    text: str
    ids: Ids
    offsets: Ids

    def tokens_of(self, begin: int | Ids, stop: int | Ids) -> tuple[Ids, Ids]:
        """The first and the last token with one of the characters from `begin` to before `stop`;
        the last is before the first where there is none."""
        first = np.searchsorted(self.offsets[:, 1], begin, side="right")
        return first, np.searchsorted(self.offsets[:, 0], stop, side="left") - 1


def whole(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer, set to neither cut nor pad, as published ones often are."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def split(texts: Sequence[str], tokenizer: Tokenizer) -> list[Tokenized]:
    """Texts as tokens, without special ones."""
    return [
        Tokenized(
            text,
            np.array(encoding.ids, dtype=np.int64),
            np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2),
        )
        for text, encoding in zip(
            texts, tokenizer.encode_batch(texts, add_special_tokens=False), strict=True
        )
    ]


@dataclass(frozen=True)
class Question:
    """A question with its answer's tokens: the first and the last, counted in its paragraph."""

    text: str
    ids: Ids
    paragraph: int
    start: int
    end: int
    other: int | None  # the article's most similar paragraph without the answer, if there is one


@dataclass
class Corpus:
    """Tokenized paragraphs and questions; `parts` are the questions of each file, `skipped` counts
    those whose answer is not in place."""

    frame: Frame
    paragraphs: list[Tokenized] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    parts: list[range] = field(default_factory=list)
    skipped: int = 0

    @classmethod
    def read(
        cls, files: Sequence[Path], tokenizer: Tokenizer, exclude: frozenset[str] = frozenset()
    ) -> "Corpus":
        """Read SQuAD v1.1 files, leaving out the articles whose titles are in `exclude`.

        Raises ValueError where there is none of these articles: it would be another file's list.
        """
        corpus = cls(Frame.of(whole(tokenizer)))
        titles: set[str] = set()
        for file in files:
            before = len(corpus.questions)
            for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
                titles.add(article["title"])
                if article["title"] not in exclude:
                    corpus._add(article["paragraphs"], tokenizer)
            corpus.parts.append(range(before, len(corpus.questions)))
        if exclude and not titles & exclude:
            raise ValueError("None of the articles to leave out is in these files.")
        if not corpus.questions:
            raise ValueError("There is no question with an answer in these files.")
        return corpus

    def paragraph(self, question: int, elsewhere: bool) -> int:
        """The number of a question's own paragraph, or of the other one, which must exist."""
        asked = self.questions[question]
        paragraph = asked.other if elsewhere else asked.paragraph
        assert paragraph is not None
        return paragraph

    def fingerprint(self, questions: range | None = None) -> str:
        """Tell these questions (default: all), with their paragraphs and answers, from others."""
        digest = hashlib.sha256()
        for index in range(len(self.questions)) if questions is None else questions:
            question = self.questions[index]
            digest.update(b"%d %d:" % (question.start, question.end) + question.ids.tobytes())
            for paragraph in (question.paragraph, question.other):
                ids = self.paragraphs[paragraph].ids if paragraph is not None else question.ids[:0]
                digest.update(b"%d:" % len(ids) + ids.tobytes())
        return digest.hexdigest()

    def _add(self, paragraphs: list[dict[str, Any]], tokenizer: Tokenizer) -> None:
        """Add the paragraphs and the questions of one article."""
        texts = split([paragraph["context"] for paragraph in paragraphs], tokenizer)
        first = len(self.paragraphs)

        homes: list[int] = []
        asked: list[str] = []
        answers: list[list[str]] = []
        spans: list[tuple[int, int]] = []
        for home, paragraph in enumerate(paragraphs):
            for item in paragraph["qas"]:
                span = _token_span(texts[home], item["answers"])
                if span is None:
                    self.skipped += 1
                    continue
                homes.append(home)
                asked.append(item["question"])
                answers.append([answer["text"] for answer in item["answers"]])
                spans.append(span)

        questions = [question.ids[:LONGEST_QUESTION] for question in split(asked, tokenizer)]
        others = most_similar_others(
            [text.text for text in texts], [text.ids for text in texts], homes, questions, answers
        )
        self.paragraphs += texts
        for text, ids, home, (start, end), other in zip(
            asked, questions, homes, spans, others, strict=True
        ):
            shifted = None if other is None else first + other
            self.questions.append(Question(text, ids, first + home, start, end, shifted))


def read_titles(path: Path) -> frozenset[str]:
    """Titles, one a line."""
    return frozenset(path.read_text(encoding="utf-8").split("\n")) - {""}


def _token_span(passage: Tokenized, answers: list[dict[str, Any]]) -> tuple[int, int] | None:
    """First and last token of the first answer; None if it is not where the file says it is."""
    if not answers:
        return None
    begin, answer = answers[0]["answer_start"], answers[0]["text"]
    stop = begin + len(answer)
    if passage.text[begin:stop] != answer:
        return None
    start, end = map(int, passage.tokens_of(begin, stop))
    return (start, end) if start <= end else None


def most_similar_others(
    texts: Sequence[str],
    paragraphs: Sequence[Ids],
    homes: Sequence[int],
    questions: Sequence[Ids],
    answers: Sequence[Sequence[str]],
) -> list[int | None]:
    """For each question the most similar other paragraph that holds none of its answers.

    Likeness is the cosine with the question plus the cosine with its own paragraph, which `homes`
    names, over TF-IDF weights of tokens. Frequencies are counted in this article alone, where the
    subject's name tells nothing apart. Equal likeness goes to the earlier paragraph.
    """
    if not questions:
        return []
    terms = np.unique(np.concatenate(paragraphs))
    frequency = np.stack(
        [np.bincount(np.searchsorted(terms, ids), minlength=len(terms)) for ids in paragraphs]
    )
    rarity = np.log(len(paragraphs) / (frequency > 0).sum(axis=0))
    known = np.log1p(frequency) * rarity  # [paragraphs, terms]
    known /= np.maximum(np.linalg.norm(known, axis=1, keepdims=True), 1e-9)
    between = known @ known.T
    folded = [text.casefold() for text in texts]
    others: list[int | None] = []
    for home, ids, wanted in zip(homes, questions, answers, strict=True):
        asked, times = np.unique(ids, return_counts=True)
        columns = np.searchsorted(terms, asked).clip(max=len(terms) - 1)
        found = terms[columns] == asked
        columns, times = columns[found], times[found]
        query = np.log1p(times) * rarity[columns]
        query /= max(float(np.linalg.norm(query)), 1e-9)
        likeness = known[:, columns] @ query + between[home]
        ranked = (int(index) for index in np.argsort(-likeness, kind="stable") if index != home)
        needles = [answer.casefold() for answer in wanted]
        others.append(
            next((i for i in ranked if not any(needle in folded[i] for needle in needles)), None)
        )
    return others
