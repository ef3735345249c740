"""A graph in several files answers as it does in one: an MPNet from its weights to the app."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from qa import QAError, Reader
from qa.catalog import Frame, read_card
from qa.windows import Windower
from tests.training.conftest import articles
from training import card, parts
from training.data import whole
from training.encoder import Encoder
from training.export import export
from training.quantize import Recipe, build

ABOUT = Path(__file__).resolve().parents[2] / "training" / "cards" / "minilm-l6-squad-int8.json"
SPECIAL = {"cls": "<s>", "sep": "</s>", "question_separators": 2}
SIZES = {"max_sequence": 128, "max_question": 16}


@pytest.fixture
def mpnet(base: Callable[[str], Path]) -> Path:
    """A random MPNet whose logits are far apart."""
    folder = base("mpnet")
    model = Encoder.from_pretrained(folder)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.mul_(5)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def models(
    mpnet: Path, squad: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Its model folder in one file, and in several; exported once, as that takes seconds."""
    fp32 = tmp_path_factory.getbasetemp() / "fp32-mpnet-far-apart"
    if not fp32.exists():
        export(mpnet, fp32)
    windower = Windower(fp32 / "tokenizer.json", Frame(**SPECIAL, **SIZES), longest_answer=30)
    about = json.loads(ABOUT.read_text("utf-8")) | {"special_tokens": SPECIAL} | SIZES
    told = tmp_path / "about.json"
    told.write_text(json.dumps(about), encoding="utf-8")
    for name, limit in (("one", parts.LIMIT), ("many", 32_768)):
        build(fp32, tmp_path / name, Recipe(), [squad], windower, limit)
        card.write(tmp_path / name, told, onnx.load(fp32 / "model.onnx"), {"method": "static"})
    return tmp_path / "one", tmp_path / "many"


def test_an_mpnet_in_parts_answers(models: tuple[Path, Path], mpnet: Path) -> None:
    one, many = models
    names = [path.name for path in parts.files(many)]
    assert names[:3] == ["model.onnx", "model.onnx.data-1", "model.onnx.data-2"]
    assert max(path.stat().st_size for path in many.iterdir()) <= 32_768
    assert [path.name for path in parts.files(one)] == ["model.onnx"]
    assert (one / "model.onnx").stat().st_size > 32_768
    encoder = Encoder.from_pretrained(mpnet)
    tokenizer = whole(Tokenizer.from_file(str(mpnet / "tokenizer.json")))
    whole_reader, reader = Reader.load(one), Reader.load(many)
    assert set(read_card(many).file_sizes) == {*names, "tokenizer.json"}
    for paragraph in (p for article in articles() for p in article["paragraphs"][:2]):
        passage, question = paragraph["context"], paragraph["qas"][1]["question"]
        result = reader.answer(question, passage)
        assert result.answers == whole_reader.answer(question, passage).answers
        assert all(passage[a.start : a.end] == a.text for a in result.answers)
        # What is read is a pair as the tokenizer frames it, and INT8 says about what FP32 does.
        ids, _ = reader.windower.question(question)
        tokens = reader.windower.passage(passage)
        (window,) = reader.windower.windows(ids, tokens, reader.advance(ids))
        pair = tokenizer.encode(question, passage)
        assert window.input_ids.tolist() == pair.ids
        (logits,) = reader.logits(ids, tokens)
        with torch.inference_mode():
            wanted = encoder(torch.tensor([pair.ids]), torch.ones(1, len(pair.ids)).long())
        for got, exact in zip((logits.start, logits.end), wanted, strict=True):
            assert np.corrcoef(got, exact[0])[0, 1] > 0.99


def test_a_part_that_is_missing_or_cut_is_noticed(models: tuple[Path, Path]) -> None:
    part = models[1] / "model.onnx.data-2"
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(QAError, match=r"data-2 is missing or not [\d,]+ bytes long"):
        Reader.load(models[1])
    part.unlink()
    with pytest.raises(QAError, match="data-2 is missing"):
        Reader.load(models[1])


def graph(*sizes: int, fill: int = 0) -> onnx.ModelProto:
    """Tensors of so many bytes."""
    tensors = [
        numpy_helper.from_array(np.full(size, fill + i, np.int8), f"t{i}")
        for i, size in enumerate(sizes)
    ]
    nodes = [helper.make_node("Identity", [t.name], [f"o{t.name}"]) for t in tensors]
    outputs = [
        helper.make_tensor_value_info(node.output[0], TensorProto.INT8, [size])
        for node, size in zip(nodes, sizes, strict=True)
    ]
    return helper.make_model(helper.make_graph(nodes, "g", [], outputs, tensors))


def test_no_file_is_larger_than_the_limit(tmp_path: Path) -> None:
    parts.save(graph(9000, 500, 9000, 2000, 30_000, 8192), tmp_path, 32_768)
    sizes = {path.name: path.stat().st_size for path in parts.files(tmp_path)}
    assert max(sizes.values()) <= 32_768
    assert len(sizes) == 4
    read = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(tmp_path / "model.onnx")
    for index, tensor in enumerate(read.graph.initializer):
        assert (numpy_helper.to_array(tensor) == index).all()


def test_parts_of_another_graph_are_removed(tmp_path: Path) -> None:
    parts.save(graph(9000, 9000), tmp_path, 16_384)
    assert len(parts.files(tmp_path)) == 3
    parts.save(graph(9000, 9000), tmp_path)
    assert [path.name for path in parts.files(tmp_path)] == ["model.onnx"]


def test_the_hash_of_the_graph_tells_every_weight(tmp_path: Path) -> None:
    written = []
    for fill in (0, 0, 1):
        parts.save(graph(9000, 9000, fill=fill), tmp_path, 16_384)
        written.append((tmp_path / "model.onnx").read_bytes())
    assert written[0] == written[1] != written[2]


def test_what_fits_nowhere_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"t1, 20,480 bytes, does not fit into 16,384"):
        parts.save(graph(9000, 20_000), tmp_path, 16_384)
    with pytest.raises(ValueError, match=r"A graph of [\d,]+ bytes does not fit into 4,096"):
        parts.save(graph(*[1000] * 9), tmp_path, 4096)


def test_nothing_outside_the_folder_is_read(models: tuple[Path, Path], tmp_path: Path) -> None:
    """A folder somebody was given must not name other files as its weights."""
    _, many = models
    model = onnx.load(many / "model.onnx", load_external_data=False)
    shutil.copyfile(many / "model.onnx.data-1", tmp_path / "weights")
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.value == "model.onnx.data-1":
                entry.value = "../weights"
    (many / "model.onnx").write_bytes(model.SerializeToString())
    told = json.loads((many / "model.json").read_text("utf-8"))
    (many / "model.json").write_text(json.dumps(told | {"files": {}}), encoding="utf-8")
    with pytest.raises(QAError, match="not a model ONNX Runtime can run"):
        Reader.load(many)
