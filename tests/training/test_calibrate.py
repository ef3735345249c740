"""Temperature and null bias are chosen by what logits say, and never by another model's."""

from pathlib import Path

import numpy as np
import pytest

from qa import Reader
from qa.squad import Example
from training.calibrate import TEMPERATURES, Evidence, choose, evidence, no_answer_accuracy

TEXT = "The mill of Arden was built in 1304. Bram Millwright kept it for many winters."


def drawn(temperature: float, questions: int, seed: int) -> Evidence:
    """Return evidence of a model whose scores are right at this temperature: which of five spans
    is the answer is drawn by them. Every second question has none, and much smaller logits."""
    random = np.random.default_rng(seed)
    answerable = np.arange(questions) % 2 == 0
    logits = random.normal(0, 3, (questions, 5)) + np.where(answerable, 12, -12)[:, None]
    weights = np.exp(logits / temperature - logits.max(axis=1, keepdims=True) / temperature)
    shares = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
    answer = (random.random(questions)[:, None] > shares).sum(axis=1)
    return Evidence(
        logits.max(axis=1),
        np.array([np.logaddexp.reduce(logits / t, axis=1) for t in TEMPERATURES]),
        answerable & (answer == logits.argmax(axis=1)),
        answerable,
    )


@pytest.mark.parametrize("temperature", [0.8, 1.5])
def test_the_temperature_is_found_and_answers_are_told_from_none(temperature: float) -> None:
    single, long = drawn(temperature, 4000, 1), drawn(temperature, 2000, 2)
    t, bias = choose(single, long)
    assert TEMPERATURES[t] == pytest.approx(temperature, abs=0.15)
    assert no_answer_accuracy(single, t, bias) > 0.98


def test_kept_logits_serve_the_same_questions_of_the_same_model(tmp_path: Path) -> None:
    reader, file = Reader.load(threads=1), tmp_path / "logits.npz"
    questions = {"When was the mill built?": "1304", "Who kept it?": "Bram Millwright"}
    examples = [
        Example(answer, "Mills", question, TEXT, (answer,))
        for question, answer in questions.items()
    ]
    found = evidence(reader, examples, file)
    assert found.right.all()
    again = evidence(reader, examples, file)
    for kept, first in zip(vars(again).values(), vars(found).values(), strict=True):
        assert (kept == first).all()
    (window,) = reader.logits(
        reader.windower.question(examples[0].question)[0], reader.windower.passage(TEXT)
    )
    plain = evidence(reader, examples, file, null_share=0.0)
    assert plain.logit[0] - found.logit[0] == pytest.approx(window.null, abs=1e-4)
    with pytest.raises(ValueError, match="another model or other questions"):
        evidence(reader, examples[:1], file)
