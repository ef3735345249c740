"""Distilling on a tiny slice: what is learned is what the teacher says."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from tests.training.test_train import arguments, assert_same, checkpoint, curve
from training import distil, teacher, train
from training.batches import Batches, Position
from training.data import Corpus
from training.distil import Distillation, TeacherLogits
from training.encoder import Encoder
from training.export import export
from training.loss import span_divergence, span_loss

Make = Callable[[str], Path]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("distil")


@pytest.fixture
def trained(base: Make, squad: Path, kept: Path) -> Path:
    """An MPNet that has learned its few questions, trained once."""
    if not (kept / "model" / "model.onnx").exists():
        options = {"epochs": 12, "unanswerable": 1}
        train.main(arguments(base("mpnet"), squad, kept / "run", **options))
        shutil.copytree(kept / "run" / "model", kept / "model", dirs_exist_ok=True)
        export(kept / "model", kept / "model")
    return kept / "model"


@pytest.fixture
def logits(trained: Path, base: Make, squad: Path, kept: Path) -> Path:
    """What it says, for a BERT to learn."""
    told = [f"--base={base('bert')}", f"--data={squad}", "--threads=1", f"--out={kept / 'logits'}"]
    teacher.main([str(trained), *told])
    return kept / "logits"


def divergences(model: Encoder, said: TeacherLogits, batches: Batches) -> torch.Tensor:
    """Of every sequence of an epoch, at a temperature of 1."""
    found = []
    for batch, following in batches.after(Position()):
        with torch.inference_mode():
            start, end = model(batch.input_ids, batch.attention_mask, batch.token_type_ids)
            found.append(Distillation(said, 1.0, 0.0)(start, end, batch))
        if following.epoch:
            return torch.cat(found)
    raise AssertionError("batches ended")


def test_a_student_equal_to_the_teacher_has_nothing_to_learn(
    trained: Path, base: Make, squad: Path, tmp_path: Path
) -> None:
    teacher.main([str(trained), f"--base={trained}", f"--data={squad}", f"--out={tmp_path}"])
    corpus = Corpus.read([squad], Tokenizer.from_file(str(trained / "tokenizer.json")))
    said = TeacherLogits(tmp_path, [squad], corpus)
    batches = Batches(corpus, pad_id=1, tokens=800, longest=120, unanswerable=1)
    same, fresh = (
        divergences(Encoder.from_pretrained(folder), said, batches)
        for folder in (trained, base("mpnet"))
    )
    assert len(same) == 2 * 72
    assert same.abs().max() < 1e-4
    assert fresh.mean() > 0.3


def test_loss_falls(logits: Path, base: Make, squad: Path, tmp_path: Path) -> None:
    """Without the answers in the files: what they are is learned from the teacher."""
    out = tmp_path / "out"
    changes = {"epochs": 10, "unanswerable": 1, "logits": logits, "hard": 0, "temperature": 1}
    distil.main(arguments(base("bert"), squad, out, **changes))
    lines = curve(out)
    first, last = lines[:4], lines[-4:]
    for part in ("loss_answered", "loss_unanswered"):
        before, after = (sum(line[part] for line in some) for some in (first, last))
        assert after < 0.6 * before


def test_stopping_leaves_no_trace(logits: Path, base: Make, squad: Path, tmp_path: Path) -> None:
    folder = base("bert")
    distil.main(arguments(folder, squad, tmp_path / "whole", logits=logits, epochs=3))
    for epochs in (1, 2, 3):
        distil.main(arguments(folder, squad, tmp_path / "parts", logits=logits, epochs=epochs))
    assert_same(checkpoint(tmp_path / "parts"), checkpoint(tmp_path / "whole"))
    steps = len(curve(tmp_path / "whole"))
    distil.main(arguments(folder, squad, tmp_path / "parts", logits=logits, cooldown=2000))
    assert curve(tmp_path / "parts")[-1]["rate"] == 0
    assert len(curve(tmp_path / "parts")) > steps


def test_the_answers_weigh_as_much_as_is_said(
    logits: Path, base: Make, squad: Path, tmp_path: Path
) -> None:
    """With all of the weight on them, training is as without a teacher."""
    folder = base("bert")
    train.main(arguments(folder, squad, tmp_path / "plain"))
    distil.main(arguments(folder, squad, tmp_path / "hard", logits=logits, hard=1))
    distil.main(arguments(folder, squad, tmp_path / "half", logits=logits, hard=0.5))
    plain, hard, half = (
        checkpoint(tmp_path / name)["trainer"]["master"] for name in ("plain", "hard", "half")
    )
    assert_same(plain, hard)
    assert not torch.equal(plain["span.weight"], half["span.weight"])


def test_the_loss_is_the_mean_of_two(logits: Path, base: Make, squad: Path) -> None:
    corpus = Corpus.read([squad], Tokenizer.from_file(str(base("bert") / "tokenizer.json")))
    said = TeacherLogits(logits, [squad], corpus)
    batches = Batches(corpus, pad_id=0, tokens=800, longest=120, unanswerable=1)
    batch, _ = next(batches.after(Position()))
    start, end = torch.randn(2, *batch.input_ids.shape)
    divergence = span_divergence(said.of(batch), (start, end), batch, temperature=3)
    expected = 0.75 * 9 * divergence + 0.25 * span_loss(start, end, batch)
    torch.testing.assert_close(Distillation(said, 3, 0.25)(start, end, batch), expected)


def test_another_loss_is_refused(logits: Path, base: Make, squad: Path, tmp_path: Path) -> None:
    folder, out = base("bert"), tmp_path / "out"
    distil.main(arguments(folder, squad, out, logits=logits))
    with pytest.raises(ValueError, match=r"was made with temperature 2\.0, not 3\.0"):
        distil.main(arguments(folder, squad, out, logits=logits, temperature=3.0))
    with pytest.raises(ValueError, match=r"was made with hard 0\.5, not None"):
        train.main(arguments(folder, squad, out))
    train.main(arguments(folder, squad, tmp_path / "plain"))
    with pytest.raises(ValueError, match=r"was made with hard None, not 0\.5"):
        distil.main(arguments(folder, squad, tmp_path / "plain", logits=logits))
