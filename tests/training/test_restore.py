"""INT8 graphs as encoders again."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from qa.catalog import Frame
from qa.windows import Windower
from training import restore
from training.encoder import Encoder
from training.export import export
from training.quantize import Recipe, build
from training.rounded import rounded_layers, shared_constants
from training.trainer import FROZEN

SPECIAL = {"bert": {}, "mpnet": {"cls": "<s>", "sep": "</s>", "question_separators": 2}}

Make = Callable[[str], Path]


@pytest.fixture
def int8(base: Make, squad: Path, tmp_path: Path) -> Callable[[str], tuple[Encoder, Path]]:
    """Return a function from a family to an encoder made of its base, and its INT8 graph."""

    def make(family: str) -> tuple[Encoder, Path]:
        encoder = Encoder.from_pretrained(base(family))
        with torch.no_grad():
            for name, parameter in encoder.named_parameters():
                if not name.startswith(FROZEN):
                    parameter.add_(torch.randn_like(parameter), alpha=0.05)
            encoder.norm.weight[3] = 20  # an outlier, whose weights are multiplied
            encoder.layers[1].down.bias.zero_()  # which the graph leaves out
        trained, fp32, out = (tmp_path / name for name in ("trained", "fp32", "int8"))
        encoder.save_pretrained(trained)
        (trained / "tokenizer.json").write_bytes((base(family) / "tokenizer.json").read_bytes())
        export(trained, fp32)
        frame = Frame(**SPECIAL[family], max_sequence=64, max_question=16)
        windower = Windower(fp32 / "tokenizer.json", frame, longest_answer=30)
        build(fp32, out, Recipe(), [squad], windower)
        return encoder, out

    return make


@pytest.mark.parametrize("family", SPECIAL)
def test_what_was_rounded_comes_back(
    family: str, int8: Callable[[str], tuple[Encoder, Path]], base: Make, tmp_path: Path
) -> None:
    encoder, folder = int8(family)
    names = {tensor.name for tensor in onnx.load(folder / "model.onnx").graph.initializer}
    assert any(name.endswith(".inverse_factors") for name in names)
    assert "layers.1.down.bias" not in names
    restore.main([str(folder), f"--base={base(family)}", f"--out={tmp_path / 'restored'}"])
    restored = Encoder.from_pretrained(tmp_path / "restored").state_dict()
    for name, value in encoder.state_dict().items():
        if name.startswith("layers.") and "norm" not in name:
            # Rounding takes some per cent, a factor that is left out much more.
            assert (restored[name] - value).norm() <= 0.05 * value.norm()
        else:
            assert torch.equal(restored[name], value)
    tokenizers = (path / "tokenizer.json" for path in (tmp_path / "restored", base(family)))
    assert len({path.read_bytes() for path in tokenizers}) == 1


def test_another_base_is_refused(
    int8: Callable[[str], tuple[Encoder, Path]], base: Make, tmp_path: Path
) -> None:
    _, folder = int8("mpnet")
    for change in ("positions.weight", "relative.weight", "layers"):
        other = Encoder.from_pretrained(base("mpnet"))
        if change == "layers":
            shallow = Encoder(dataclasses.replace(other.config, layers=1))
            shallow.load_state_dict(other.state_dict(), strict=False)
            other = shallow
        else:
            other.get_parameter(change).data[5, 0] += 1
        other.save_pretrained(tmp_path / "other")
        with pytest.raises(ValueError, match=f"was not made of .* {change}"):
            restore.restore(folder, tmp_path / "other")
    with pytest.raises(ValueError, match="was not made of"):
        restore.restore(folder, base("bert"))


@pytest.mark.parametrize("family", SPECIAL)
def test_what_is_not_trained_on_stays_as_it_was_rounded(
    family: str,
    int8: Callable[[str], tuple[Encoder, Path]],
    base: Make,
    squad: Path,
    tmp_path: Path,
) -> None:
    """Restored, trained on in its upper layer and rounded again; calibrated with other texts."""
    _, folder = int8(family)
    restored, fp32, out = (tmp_path / name for name in ("restored", "on-fp32", "on-int8"))
    encoder = restore.restore(folder, base(family))
    for name, parameter in encoder.named_parameters():
        if name.startswith("layers.1."):
            parameter.data.add_(torch.randn_like(parameter), alpha=0.05)
    encoder.save_pretrained(restored)
    shutil.copyfile(base(family) / "tokenizer.json", restored / "tokenizer.json")
    export(restored, fp32)
    frame = Frame(**SPECIAL[family], max_sequence=24, max_question=6)
    windower = Windower(fp32 / "tokenizer.json", frame, longest_answer=4)
    build(fp32, out, Recipe(), [squad], windower, keep=folder)
    before, after = (
        list(rounded_layers(onnx.load(path / "model.onnx").graph)) for path in (folder, out)
    )
    for number, (was, now) in enumerate(zip(before, after, strict=True)):
        same = {n for n, value in was.constants.items() if np.array_equal(now.constants[n], value)}
        if number < 6:  # the dense layers of the lower layer
            assert same == was.constants.keys() == now.constants.keys()
        else:
            assert not any(name.endswith(".weight") for name in same)
    assert any(name.endswith(".inverse_factors") for name in before[0].constants)


def test_only_layers_of_a_restored_graph_are_kept(
    int8: Callable[[str], tuple[Encoder, Path]], tmp_path: Path
) -> None:
    _, folder = int8("bert")
    never_rounded = onnx.load(tmp_path / "fp32" / "model.onnx")
    with pytest.raises(ValueError, match="No layer of"):
        shared_constants(folder / "model.onnx", never_rounded)
