"""A tiny world to train in: articles of our own, a tokenizer of their words, and random bases of
both families."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from training.encoder import Encoder, EncoderConfig


def pytest_configure(config: pytest.Config) -> None:
    # torch.compile imports what PyTorch itself calls deprecated.
    config.addinivalue_line("filterwarnings", "ignore:`torch.jit:DeprecationWarning")


PLACES = ["Arden", "Brill", "Corvo", "Dunmore", "Elsing", "Farrow"]
THINGS = {"mill": "oak", "bridge": "granite", "chapel": "brick", "market": "slate"}
SPECIAL = {
    "bert": ["[PAD]", "[UNK]", "[CLS]", "[SEP]"],
    "mpnet": ["<s>", "<pad>", "</s>", "<unk>"],
}
TEMPLATES = {
    "bert": ("[CLS] $A [SEP] $B:1 [SEP]:1", ["[CLS]", "[SEP]"]),
    "mpnet": ("<s> $A </s> </s> $B </s>", ["<s>", "</s>"]),
}


def articles() -> list[dict]:
    """Four articles of six paragraphs, each paragraph with three questions."""
    made = []
    for row, (thing, stone) in enumerate(THINGS.items()):
        paragraphs = []
        for column, place in enumerate(PLACES):
            year, keeper = 1300 + 61 * row + 17 * column, f"{place} {thing.title()}wright"
            text = (
                f"The old {thing} of {place} (built:{year}) is of {stone}. "
                f"For many winters it was kept by {keeper}, who never left {place}. "
                f"Today the {thing} has {column + 3} rooms and a garden."
            )
            asked = {
                f"When was the {thing} of {place} built?": str(year),
                f"Who kept the {thing} of {place}?": keeper,
                f"How many rooms has the {thing} of {place}?": f"{column + 3} rooms",
            }
            paragraphs.append(
                {
                    "context": text,
                    "qas": [
                        {
                            "id": f"{thing}-{place}-{number}",
                            "question": question,
                            "answers": [{"text": answer, "answer_start": text.index(answer)}],
                        }
                        for number, (question, answer) in enumerate(asked.items())
                    ],
                }
            )
        made.append({"title": thing.title(), "paragraphs": paragraphs})
    return made


@pytest.fixture
def squad(tmp_path: Path) -> Path:
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"version": "1.1", "data": articles()}), encoding="utf-8")
    return path


@pytest.fixture
def tokenizer() -> Callable[[str], Tokenizer]:
    """Return a function from a family to a tokenizer framed like it."""

    def make(family: str) -> Tokenizer:
        special = SPECIAL[family]
        texts = [p["context"] for article in articles() for p in article["paragraphs"]]
        words = sorted({word for text in texts for word in _words(text)})
        words += ["when", "who", "how", "kept", "?"]
        vocabulary = {word: index for index, word in enumerate(dict.fromkeys(special + words))}
        unknown = next(word for word in special if "unk" in word.casefold())
        made = Tokenizer(models.WordLevel(vocabulary, unknown))
        made.normalizer = normalizers.Lowercase()
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        template, framing = TEMPLATES[family]
        made.post_processor = processors.TemplateProcessing(
            pair=template, special_tokens=[(word, vocabulary[word]) for word in framing]
        )
        made.add_special_tokens(special)
        # Published tokenizers carry settings of their own, which training has to switch off.
        made.enable_truncation(16)
        made.enable_padding(length=16)
        return made

    return make


def _words(text: str) -> list[str]:
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(text.lower())
    return [word for word, _ in split]


@pytest.fixture
def base(tmp_path: Path, tokenizer: Callable[[str], Tokenizer]) -> Callable[[str], Path]:
    """Return a function that writes a random base of a family to a folder, as one is published."""

    def make(family: str) -> Path:
        folder = tmp_path / f"base-{family}"
        made = tokenizer(family)
        torch.manual_seed(7)
        config = EncoderConfig(
            family=family,
            layers=2,
            width=32,
            heads=4,
            intermediate=64,
            vocabulary=made.get_vocab_size(),
            positions=402,
            eps=1e-5,
            pad_id=made.token_to_id("[PAD]" if family == "bert" else "<pad>"),
        )
        Encoder(config).save_pretrained(folder)
        made.save(str(folder / "tokenizer.json"))
        return folder

    return make
