"""The encoder against the transformers library: same logits, same files."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertModel,
    MPNetConfig,
    MPNetForQuestionAnswering,
    MPNetModel,
)

from training.encoder import Encoder

SHAPE = {
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "vocab_size": 90,
    "attn_implementation": "eager",
}
CONFIGS = {
    "bert": BertConfig(max_position_embeddings=400, **SHAPE),
    "mpnet": MPNetConfig(max_position_embeddings=402, pad_token_id=1, **SHAPE),
}
HEADED = {"bert": BertForQuestionAnswering, "mpnet": MPNetForQuestionAnswering}
BARE = {"bert": BertModel, "mpnet": MPNetModel}
families = pytest.mark.parametrize("family", ["bert", "mpnet"])


def reference(family: str, classes: dict[str, type], seed: int = 0) -> nn.Module:
    """A random transformers model whose every parameter matters to its logits."""
    torch.manual_seed(seed)
    model = classes[family](CONFIGS[family]).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def inputs(family: str, batch: int = 3, length: int = 333) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, mask and types of rows of different lengths, longer than the reach of relative bias."""
    torch.manual_seed(1)
    ids = torch.randint(5, 90, (batch, length))
    mask = torch.ones_like(ids)
    for row in range(1, batch):
        mask[row, length - 70 * row :] = 0
    types = torch.zeros_like(ids)
    types[:, 12:] = 1
    return ids.masked_fill(mask == 0, CONFIGS[family].pad_token_id), mask, types * mask


def logits(family: str, model: nn.Module) -> Tensor:
    """Start and end logits of the tokens that are not padding."""
    ids, mask, types = inputs(family)
    kind = {"token_type_ids": types} if family == "bert" else {}
    with torch.no_grad():
        if isinstance(model, Encoder):
            start, end = model(ids, mask, **kind)
        else:
            out = model(input_ids=ids, attention_mask=mask, **kind)
            start, end = out.start_logits, out.end_logits
    return torch.stack([start, end])[:, mask.bool()]


@families
def test_logits_equal_transformers(family: str, tmp_path: Path) -> None:
    theirs = reference(family, HEADED)
    theirs.save_pretrained(tmp_path)
    ours = Encoder.from_pretrained(tmp_path)
    torch.testing.assert_close(logits(family, ours), logits(family, theirs), atol=1e-4, rtol=0)


@families
def test_saved_model_is_transformers_own(family: str, tmp_path: Path) -> None:
    reference(family, HEADED).save_pretrained(tmp_path / "theirs")
    ours = Encoder.from_pretrained(tmp_path / "theirs")
    ours.save_pretrained(tmp_path / "ours")
    stored, written = (load_file(tmp_path / n / "model.safetensors") for n in ("theirs", "ours"))
    assert written.keys() == stored.keys()
    assert all(torch.equal(written[name], stored[name]) for name in stored)
    loaded = HEADED[family].from_pretrained(tmp_path / "ours", attn_implementation="eager")
    torch.testing.assert_close(logits(family, ours), logits(family, loaded), atol=1e-4, rtol=0)


@families
def test_half_precision_files_are_read_as_single(family: str, tmp_path: Path) -> None:
    reference(family, HEADED).save_pretrained(tmp_path)
    single = Encoder.from_pretrained(tmp_path)
    single.save_pretrained(tmp_path, dtype=torch.float16)
    half = Encoder.from_pretrained(tmp_path)
    for name, weight in half.state_dict().items():
        assert weight.dtype == torch.float32
        assert torch.equal(weight, single.state_dict()[name].half().float())


@families
def test_bare_encoder_gets_a_fresh_head(family: str, tmp_path: Path) -> None:
    theirs = reference(family, BARE)
    theirs.save_pretrained(tmp_path)
    ours = Encoder.from_pretrained(tmp_path)
    assert ours.span.weight.std() > 0
    assert torch.equal(ours.words.weight, theirs.embeddings.word_embeddings.weight)


def test_missing_tensor_is_named(tmp_path: Path) -> None:
    reference("bert", HEADED).save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    del stored["bert.encoder.layer.1.attention.self.key.weight"]
    save_file(stored, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"layer\.1\.attention\.self\.key\.weight"):
        Encoder.from_pretrained(tmp_path)


def test_other_family_is_refused(tmp_path: Path) -> None:
    reference("bert", HEADED).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    with pytest.raises(ValueError, match="must be bert or mpnet, not 'gpt2'"):
        Encoder.from_pretrained(tmp_path)


@families
def test_padding_changes_nothing(family: str, tmp_path: Path) -> None:
    reference(family, HEADED).save_pretrained(tmp_path)
    model = Encoder.from_pretrained(tmp_path)
    ids, mask, types = inputs(family)
    length = int(mask[2].sum())
    with torch.no_grad():
        padded, _ = model(ids, mask, types)
        alone, _ = model(ids[2:, :length], mask[2:, :length], types[2:, :length])
    torch.testing.assert_close(padded[2:, :length], alone, atol=1e-5, rtol=0)
