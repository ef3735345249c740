"""What a teacher says: complete, carried over to the student's tokens, written once."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tokenizers import Regex, Tokenizer, pre_tokenizers

from qa.catalog import Frame
from qa.windows import Windower
from training import parts, teacher
from training.batches import Batches, Position
from training.data import Corpus, Tokenized, split, whole
from training.distil import TeacherLogits
from training.encoder import Encoder
from training.export import export
from training.loss import span_divergence, span_loss
from training.quantize import Recipe, build
from training.teacher import Teacher, carry, merge

Make = Callable[[str], Path]
families = pytest.mark.parametrize("family", ["bert", "mpnet"])


@pytest.fixture
def trained(base: Make, tmp_path: Path) -> Callable[[str], Path]:
    """Return a function from a family to an encoder with opinions, its graph beside it."""

    def make(family: str) -> Path:
        folder = tmp_path / f"trained-{family}"
        model = Encoder.from_pretrained(base(family))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "norm" not in name:
                    parameter.mul_(8)
        model.save_pretrained(folder)
        shutil.copyfile(base(family) / "tokenizer.json", folder / "tokenizer.json")
        export(folder, folder)
        return folder

    return make


@pytest.fixture
def shredded(trained: Make) -> Path:
    """An MPNet that reads three letters at a time."""
    folder = trained("mpnet")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Split(Regex(".{1,3}"), "isolated")]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def lengthy(squad: Path, tmp_path: Path) -> Path:
    """The same questions of paragraphs three times as long."""
    content = json.loads(squad.read_text())
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            paragraph["context"] = " ".join([paragraph["context"]] * 3)
    path = tmp_path / "lengthy.json"
    path.write_text(json.dumps(content))
    return path


def test_a_graph_from_elsewhere_is_refused(trained: Make, base: Make, squad: Path) -> None:
    folder = trained("bert")
    model = onnx.load(folder / "model.onnx")
    for tensor in model.graph.initializer:
        tensor.name = tensor.name.replace("positions.weight", "position_embeddings")
    onnx.save(model, folder / "model.onnx")
    with pytest.raises(ValueError, match="was not written by"):
        Teacher(folder, read(base("bert"), [squad]), 384, 1)


def write(
    folder: Path, base: Path, data: list[Path], out: Path, *flags: str, **changes: object
) -> None:
    """The command."""
    settings = {"base": base, "out": out, "threads": 1} | changes
    options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    teacher.main([str(folder), *options, *flags, "--data", *map(str, data)])


def read(base: Path, data: list[Path]) -> Corpus:
    return Corpus.read(data, Tokenizer.from_file(str(base / "tokenizer.json")))


def logits_of(model: Encoder, tokenizer: Tokenizer, question: str, passage: str) -> tuple:
    """A pair as the tokenizer frames it, and what the model says of it."""
    pair = tokenizer.encode(question, passage)
    ids = torch.tensor([pair.ids])
    with torch.inference_mode():
        start, end = model(ids, torch.ones_like(ids), torch.tensor([pair.type_ids]))
    return pair, start[0].numpy(), end[0].numpy()


def test_logits_stand_at_the_students_tokens(
    shredded: Path, base: Make, lengthy: Path, squad: Path, tmp_path: Path
) -> None:
    """Against the tokenizers' own framing and their own map from characters to tokens, in rows
    that are cut, of two files of questions."""
    student, data = base("bert"), [lengthy, squad]
    write(shredded, student, data, tmp_path / "logits")
    corpus = read(student, data)
    said = TeacherLogits(tmp_path / "logits", data, corpus)
    model = Encoder.from_pretrained(shredded)
    theirs = whole(Tokenizer.from_file(str(shredded / "tokenizer.json")))
    ours = whole(Tokenizer.from_file(str(student / "tokenizer.json")))
    batches = Batches(corpus, pad_id=0, tokens=1200, longest=100, unanswerable=1)
    cuts = set()
    for (batch, _), _ in zip(batches.after(Position()), range(6), strict=False):
        answered = len(batch.start) - len(batch.pair_of)
        for row, (start, end) in enumerate(zip(*said.of(batch), strict=True)):
            number, cut = int(batch.questions[row]), int(batch.cuts[row])
            text = corpus.paragraphs[corpus.paragraph(number, row >= answered)].text
            question = corpus.questions[number].text
            pair, *logits = logits_of(model, theirs, question, text)
            split_by_us = ours.encode(text, add_special_tokens=False)
            sums = np.full((2, len(split_by_us.ids)), -np.inf)
            for token, (begin, stop) in enumerate(pair.offsets):
                if pair.sequence_ids[token] == 1:
                    for side, character in enumerate((begin, stop - 1)):
                        at = split_by_us.char_to_token(character)
                        sums[side, at] = np.logaddexp(sums[side, at], logits[side][token])
            candidates = batch.candidates[row]
            for got, all_tokens, side in zip((start, end), sums, logits, strict=True):
                inside = all_tokens[cut : cut + int(candidates.sum()) - 1]
                wanted = torch.tensor([side[0], *inside], dtype=torch.float32)
                torch.testing.assert_close(got[candidates], wanted, atol=2e-3, rtol=1e-3)
            cuts.add(cut)
    assert len(cuts) > 10


@families
def test_all_that_is_asked_is_said(family: str, trained: Make, squad: Path, tmp_path: Path) -> None:
    folder = trained(family)
    write(folder, folder, [squad], tmp_path / "logits")
    values = np.load(tmp_path / "logits/squad.logits.npy")
    corpus = read(folder, [squad])
    asked = [p for q in corpus.questions for p in (q.paragraph, q.other)]
    assert len(asked) == 2 * 72
    assert len(values) == sum(1 + len(corpus.paragraphs[p].ids) for p in asked)
    assert values.dtype == np.float16
    assert values.std() > 0.5
    assert (np.isfinite(values) & (values != 0)).all()


def test_other_paragraphs_need_not_be_read(
    trained: Make, squad: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then they have no part in an answer, and by themselves none for certain."""
    folder = trained("bert")
    corpus = read(folder, [squad])
    write(folder, folder, [squad], tmp_path / "all")
    windows = Teacher._windows

    def checked(self: Teacher, asked: teacher.Asked) -> list:
        assert not asked.elsewhere
        return windows(self, asked)

    monkeypatch.setattr(Teacher, "_windows", checked)
    write(folder, folder, [squad], tmp_path / "own", "--own-paragraphs")
    with pytest.raises(ValueError, match="is of another teacher"):
        write(folder, folder, [squad], tmp_path / "own")

    batches = Batches(corpus, pad_id=0, tokens=1200, longest=100, unanswerable=1)
    batch, _ = next(batches.after(Position()))
    everything, own = (
        torch.stack(TeacherLogits(tmp_path / name, [squad], corpus).of(batch))
        for name in ("all", "own")
    )
    answered = len(batch.start) - len(batch.pair_of)
    # They come in other batches, which float16 shows.
    torch.testing.assert_close(own[:, :answered], everything[:, :answered], atol=4e-3, rtol=2e-3)
    start, end = torch.randn(2, *batch.input_ids.shape)
    said = span_divergence((own[0], own[1]), (start, end), batch, temperature=1)
    torch.testing.assert_close(said[answered:], span_loss(start, end, batch)[answered:])
    own[:, answered:] = -torch.inf
    without = span_divergence((own[0], own[1]), (start, end), batch, temperature=1)
    torch.testing.assert_close(said[:answered], without[:answered])


def test_long_paragraphs_are_read_in_windows(trained: Make, lengthy: Path, tmp_path: Path) -> None:
    folder = trained("bert")
    corpus = read(folder, [lengthy])
    asked = teacher.Asked(0, False)
    (_, short), (_, long) = (
        next(Teacher(folder, corpus, longest, 1).say([asked])) for longest in (100, 384)
    )
    assert short.shape == long.shape == (1 + len(corpus.paragraphs[0].ids), 2)
    # The base has positions for so many.
    assert Teacher(folder, corpus, 450, 1).longest == 400
    # A window's middle is not the whole paragraph's, but not far from it; its first half is.
    assert not np.allclose(short, long, atol=0.1)
    assert np.corrcoef(short[:, 0], long[:, 0])[0, 1] > 0.5


def test_windows_are_merged_at_their_middles() -> None:
    first, second = np.full((7, 2), 1.0), np.full((7, 2), 2.0)
    first[0], second[0] = (5, 4), (3, 6)
    merged = merge([first, second], [0, 3])
    assert merged.tolist() == [[3, 4], *[[1, 1]] * 5, *[[2, 2]] * 4]


@pytest.fixture
def spellings() -> tuple[Tokenized, Tokenized]:
    """ "unlit lamp" as un lit lamp and as unlit la mp."""
    offsets = [[(0, 2), (2, 5), (6, 10)], [(0, 5), (6, 8), (8, 10)]]
    one, other = (Tokenized("unlit lamp", np.arange(3), np.array(o)) for o in offsets)
    return one, other


def test_logits_are_carried_by_characters(spellings: tuple[Tokenized, Tokenized]) -> None:
    logits = np.log(np.array([[1, 2], [3, 4], [5, 6]], np.float32))
    carried = np.exp(carry(logits, *spellings))
    np.testing.assert_allclose(carried, [[4, 6], [5, 0], [0, 6]], rtol=1e-6)


def test_the_same_tokens_keep_their_logits(spellings: tuple[Tokenized, Tokenized]) -> None:
    logits = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    assert (carry(logits, spellings[0], spellings[0]) == logits).all()


def test_characters_only_one_of_them_reads(base: Make) -> None:
    """A start falls on the next token that is read, an end on the one before."""
    both = Tokenized("a ~ b", np.arange(3), np.array([(0, 1), (2, 3), (4, 5)]))
    fewer = Tokenized("a ~ b", np.arange(2), np.array([(0, 1), (4, 5)]))
    logits = np.log(np.array([[1, 2], [3, 4], [5, 6]], np.float32))
    np.testing.assert_allclose(np.exp(carry(logits, both, fewer)), [[1, 6], [8, 6]], rtol=1e-6)
    (nothing,) = split([""], whole(Tokenizer.from_file(str(base("bert") / "tokenizer.json"))))
    assert carry(logits, both, nothing).shape == (0, 2)
    assert (carry(logits[:0], nothing, both) == -np.inf).all()


@pytest.mark.parametrize(
    ("how", "flags"), [("signal", []), ("crash", []), ("crash", ["--own-paragraphs"])]
)
def test_stopping_leaves_no_trace(
    how: str,
    flags: list[str],
    trained: Make,
    squad: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(teacher, "BATCH_TOKENS", 300 if flags else 600)
    # A crash loses what is not flushed; a signal nothing.
    monkeypatch.setattr(teacher, "FLUSH_SECONDS", 0 if how == "crash" else 1000)
    folder = trained("mpnet")
    write(folder, folder, [squad], tmp_path / "whole", *flags)
    say, said = Teacher.say, []

    def interrupted(self: Teacher, batch: list) -> Iterator:
        said.append(batch)
        for answer in say(self, batch):
            yield answer
            if len(said) % 5 == 0:
                if how == "crash":
                    raise KeyError("in the middle of a batch")
                os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Teacher, "say", interrupted)
    for stretch in range(3):
        try:
            write(folder, folder, [squad], tmp_path / "parts", *flags)
        except KeyError:
            assert how == "crash"
        assert len(said) == 5 * (stretch + 1)
        with pytest.raises(ValueError, match=r"has \d+ of \d+ batches: run training.teacher"):
            TeacherLogits(tmp_path / "parts", [squad], read(folder, [squad]))
    assert how == "crash" or len({batch[0] for batch in said}) == len(said)
    monkeypatch.setattr(Teacher, "say", say)
    write(folder, folder, [squad], tmp_path / "parts", *flags)
    for name in ("squad.logits.npy", "squad.logits.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_files_that_are_written_cost_nothing(
    trained: Make, squad: Path, lengthy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = trained("bert"), tmp_path / "logits"
    write(folder, folder, [squad], out)
    read_again = []
    say = Teacher.say

    def counted(self: Teacher, batch: list) -> Iterator:
        read_again.extend(batch)
        return say(self, batch)

    monkeypatch.setattr(Teacher, "say", counted)
    write(folder, folder, [lengthy, squad], out)
    assert len(read_again) == len(set(read_again)) == 144


def test_other_logits_are_refused(
    trained: Make, shredded: Path, base: Make, squad: Path, lengthy: Path, tmp_path: Path
) -> None:
    folder, out = trained("bert"), tmp_path / "logits"
    write(folder, folder, [squad], out)
    export(base("bert"), tmp_path / "other")
    with pytest.raises(ValueError, match=r"squad\.logits\.npy is of another teacher"):
        write(tmp_path / "other", folder, [squad], out)
    with pytest.raises(ValueError, match=r"squad\.logits\.npy is of another teacher"):
        write(folder, folder, [squad], out, longest=200)
    with pytest.raises(ValueError, match="of other questions or another tokenizer"):
        TeacherLogits(out, [squad], read(shredded, [squad]))
    with pytest.raises(ValueError, match=r"There is no .*lengthy\.logits\.npy: run"):
        TeacherLogits(out, [lengthy], read(folder, [lengthy]))
    with pytest.raises(ValueError, match="leave no room for a passage"):
        write(folder, folder, [squad], tmp_path / "new", longest=60)


def test_a_quantized_graph_in_several_files_teaches(
    trained: Make, squad: Path, tmp_path: Path
) -> None:
    """As the larger of the bundled models is."""
    folder, int8 = trained("mpnet"), tmp_path / "int8"
    special = {"cls": "<s>", "sep": "</s>", "question_separators": 2}
    frame = Frame(**special, max_sequence=64, max_question=16)
    windower = Windower(folder / "tokenizer.json", frame, longest_answer=30)
    build(folder, int8, Recipe(), [squad], windower, limit=40_000)
    assert len(parts.files(int8)) > 1
    corpus = read(folder, [squad])
    asked = [teacher.Asked(question, False) for question in range(20)]
    models = [Teacher(each, corpus, 384, 1) for each in (folder, int8)]
    wanted, got = (np.concatenate([v for _, v in model.say(asked)]) for model in models)
    assert np.corrcoef(wanted.ravel(), got.ravel())[0, 1] > 0.99
