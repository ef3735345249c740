"""Several models as one."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from training import soup
from training.encoder import Encoder
from training.trainer import FROZEN

Make = Callable[[str], Path]


@pytest.fixture
def trained(base: Make, tmp_path: Path) -> Callable[[str, int], Path]:
    """Return a function from a family and a seed to a model made of its base."""

    def make(family: str, seed: int) -> Path:
        torch.manual_seed(seed)
        encoder = Encoder.from_pretrained(base(family))
        with torch.no_grad():
            for name, parameter in encoder.named_parameters():
                if not name.startswith(FROZEN):
                    parameter.add_(torch.randn_like(parameter))
        folder = tmp_path / f"{family}-{seed}"
        encoder.save_pretrained(folder)
        (folder / "tokenizer.json").write_bytes((base(family) / "tokenizer.json").read_bytes())
        return folder

    return make


@pytest.mark.parametrize("family", ["bert", "mpnet"])
def test_every_weight_is_the_mean_of_theirs(
    family: str, trained: Callable[[str, int], Path], base: Make, tmp_path: Path
) -> None:
    folders = [trained(family, seed) for seed in range(3)]
    soup.main([*map(str, folders), f"--out={tmp_path / 'soup'}"])
    mixed = Encoder.from_pretrained(tmp_path / "soup").state_dict()
    states = [Encoder.from_pretrained(folder).state_dict() for folder in folders]
    for name, value in mixed.items():
        if name.startswith(FROZEN):  # to the bit: a mean of three would be rounded
            assert torch.equal(value, states[0][name])
        else:
            torch.testing.assert_close(value, sum(state[name] for state in states) / 3)
            assert not torch.equal(value, states[0][name])
    tokenizers = (path / "tokenizer.json" for path in (tmp_path / "soup", base(family)))
    assert len({path.read_bytes() for path in tokenizers}) == 1


def test_those_of_another_base_are_refused(
    trained: Callable[[str, int], Path], tmp_path: Path
) -> None:
    one, other = trained("bert", 0), trained("bert", 1)
    with pytest.raises(ValueError, match=r"mpnet-0 and .* were not made of the same base"):
        soup.mean([one, trained("mpnet", 0)])
    encoder = Encoder.from_pretrained(other)
    encoder.words.weight.data[5, 0] += 1
    encoder.save_pretrained(other)
    with pytest.raises(ValueError, match=r"bert-1 and .* were not made of the same base"):
        soup.mean([one, other])
