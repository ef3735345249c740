"""BERT- and MPNet-family encoders with a span head, as one PyTorch module.

Reads and writes the folder layout of the transformers library (config.json, model.safetensors), so
that a base encoder is taken as published and a trained model loads elsewhere. Two things differ
from that library, both for speed on a CPU's bf16 units: query, key and value are one projection,
and attention is written out as two products and a softmax, which forward and backward takes a
third of the time of scaled_dot_product_attention there.

Leaves out everything training does not need: dropout, pooler, masked-language head, caches.
Sequences are padded on the right, and the logits of padded positions mean nothing: whoever reads
them masks them.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (PyTorch's own convention)

from training.dense import Dense

# MPNet's relative position buckets (Song et al. 2020, after T5): half of them for each direction;
# from this distance on every position falls into the last one.
RELATIVE_BUCKETS = 32
RELATIVE_REACH = 128

# Added to the attention scores of padded positions: their share underflows to zero.
MASKED = -1e4

# Our names of the fields of config.json.
_CONFIG_KEYS = {
    "family": "model_type",
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "intermediate": "intermediate_size",
    "vocabulary": "vocab_size",
    "positions": "max_position_embeddings",
    "eps": "layer_norm_eps",
    "pad_id": "pad_token_id",
}


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of an encoder; `positions` counts rows of its table, as config.json does."""

    family: Literal["bert", "mpnet"]
    layers: int
    width: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    eps: float
    pad_id: int

    def __post_init__(self) -> None:
        if self.family not in ("bert", "mpnet"):
            raise ValueError(f"The encoder family must be bert or mpnet, not {self.family!r}.")
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}.")

    @property
    def first_position(self) -> int:
        """The first token's row of the table: MPNet, like RoBERTa, counts from pad id + 1."""
        return self.pad_id + 1 if self.family == "mpnet" else 0

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return self.positions - self.first_position

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a transformers config.json."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw.get("hidden_act", "gelu") != "gelu":
            raise ValueError(f"{path}: only gelu encoders are supported, not {raw['hidden_act']}.")
        missing = [key for key in _CONFIG_KEYS.values() if key not in raw]
        if missing:
            raise ValueError(f"{path} has no {', '.join(missing)}.")
        return cls(**{ours: raw[theirs] for ours, theirs in _CONFIG_KEYS.items()})

    def write(self, path: Path) -> None:
        """As a transformers config.json for the family's ForQuestionAnswering class."""
        raw: dict[str, object] = {_CONFIG_KEYS[name]: value for name, value in asdict(self).items()}
        raw["hidden_act"] = "gelu"
        if self.family == "bert":
            raw["architectures"] = ["BertForQuestionAnswering"]
            raw["type_vocab_size"] = 2
        else:
            raw["architectures"] = ["MPNetForQuestionAnswering"]
            raw["relative_attention_num_buckets"] = RELATIVE_BUCKETS
            raw["bos_token_id"], raw["eos_token_id"] = 0, 2
        path.write_text(json.dumps(raw, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def relative_buckets() -> Tensor:
    """Bucket of every key-minus-query offset from -(REACH - 1) to REACH - 1: int64 [2 * REACH - 1].

    A table rather than arithmetic in the graph: the logarithm falls on whole numbers at powers of
    two, where two runtimes may round to different buckets.
    """
    half = RELATIVE_BUCKETS // 2
    exact = half // 2
    offset = torch.arange(-(RELATIVE_REACH - 1), RELATIVE_REACH)
    distance = offset.abs()
    scale = torch.log(distance.clamp(min=1).float() / exact) / math.log(RELATIVE_REACH / exact)
    far = (exact + (scale * (half - exact)).long()).clamp(max=half - 1)
    return torch.where(distance < exact, distance, far) + half * (offset > 0)


class Layer(nn.Module):
    """One post-norm transformer layer: attention, then two dense products."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.head_width = config.width // config.heads
        self.qkv = Dense(config.width, 3 * config.width)
        self.out = Dense(config.width, config.width)
        self.attention_norm = nn.LayerNorm(config.width, config.eps)
        self.up = Dense(config.width, config.intermediate)
        self.down = Dense(config.intermediate, config.width)
        self.norm = nn.LayerNorm(config.width, config.eps)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x [batch, sequence, width]; bias [batch, heads or 1, sequence or 1, sequence]."""
        batch, sequence, width = x.shape
        packed = self.qkv(x).view(batch, sequence, 3, self.heads, self.head_width)
        q, k, v = packed.permute(2, 0, 3, 1, 4).unbind(0)  # each [batch, heads, sequence, head]
        scores = (q * self.head_width**-0.5) @ k.transpose(-1, -2)
        # In place: at 12 heads the scores are the largest tensor of a layer.
        attended = scores.add_(bias).softmax(-1) @ v
        merged = attended.transpose(1, 2).reshape(batch, sequence, width)
        x = self.attention_norm(x + self.out(merged))
        return self.norm(x + self.down(F.gelu(self.up(x))))


class Encoder(nn.Module):
    """Token ids -> start and end logits."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Embedding(config.positions, config.width)
        if config.family == "bert":
            self.types = nn.Embedding(2, config.width)
        else:
            self.relative = nn.Embedding(RELATIVE_BUCKETS, config.heads)
            self.register_buffer("buckets", relative_buckets(), persistent=False)
        self.norm = nn.LayerNorm(config.width, config.eps)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.span = nn.Linear(config.width, 2)
        self.apply(_initialise)

    def embed(self, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """[batch, sequence] -> [batch, sequence, width]."""
        first = self.config.first_position
        position = torch.arange(first, first + input_ids.shape[1], device=input_ids.device)
        x = self.words(input_ids) + self.positions(position)
        if self.config.family == "bert":
            # BERT without token types is BERT with all of them zero.
            x = x + (self.types.weight[0] if token_type_ids is None else self.types(token_type_ids))
        return self.norm(x)

    def attention_bias(self, attention_mask: Tensor, dtype: torch.dtype) -> Tensor:
        """What every layer adds to its scores: [batch, heads or 1, sequence or 1, sequence]."""
        bias = (1 - attention_mask[:, None, None, :].to(dtype)) * MASKED
        if self.config.family == "mpnet":
            position = torch.arange(attention_mask.shape[1], device=attention_mask.device)
            offset = (position[None, :] - position[:, None]).clamp(
                1 - RELATIVE_REACH, RELATIVE_REACH - 1
            )
            relative = self.relative(self.buckets[offset + RELATIVE_REACH - 1])
            bias = bias + relative.permute(2, 0, 1).to(dtype)
        # Contiguous because it is read once a layer.
        return bias.contiguous()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Start and end logits, both float32 [batch, sequence]; int64 inputs of the same shape.

        The mask is 1 on tokens and 0 on padding. MPNet has no token types and ignores them.
        """
        x = self.embed(input_ids, token_type_ids)
        bias = self.attention_bias(attention_mask, x.dtype)
        for layer in self.layers:
            x = layer(x, bias)
        start, end = self.span(x).float().unbind(-1)
        return start, end

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> Self:
        """From a transformers folder; the span head is drawn at random where the folder has none.

        Weights of any floating type become float32. Raises ValueError when a tensor is missing.
        """
        folder = Path(folder)
        model = cls(EncoderConfig.read(folder / "config.json"))
        stored = load_file(folder / "model.safetensors")
        prefix = f"{model.config.family}."
        stored = {name.removeprefix(prefix): tensor for name, tensor in stored.items()}
        state = model.state_dict()
        for ours, theirs in _names(model.config).items():
            if ours.startswith("span.") and theirs[0] not in stored:
                continue
            missing = [name for name in theirs if name not in stored]
            if missing:
                raise ValueError(f"{folder}/model.safetensors has no tensor {missing[0]}.")
            state[ours] = torch.cat([stored[name].float() for name in theirs])
        model.load_state_dict(state)
        return model

    def save_pretrained(self, folder: Path | str, dtype: torch.dtype = torch.float32) -> None:
        """Write config.json and model.safetensors for transformers' ForQuestionAnswering class."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.config.write(folder / "config.json")
        state = self.state_dict()
        stored: dict[str, Tensor] = {}
        for ours, theirs in _names(self.config).items():
            for name, part in zip(theirs, state[ours].chunk(len(theirs)), strict=True):
                head = "" if name.startswith("qa_outputs.") else f"{self.config.family}."
                stored[head + name] = part.to(dtype).contiguous()
        save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})


def _initialise(module: nn.Module) -> None:
    """BERT's initialisation: normal of deviation 0.02, zero biases."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def _names(config: EncoderConfig) -> dict[str, tuple[str, ...]]:
    """Our parameter -> the transformers tensors it is stacked from, without the family's prefix."""
    names = {
        "words.weight": ("embeddings.word_embeddings.weight",),
        "positions.weight": ("embeddings.position_embeddings.weight",),
        "norm.weight": ("embeddings.LayerNorm.weight",),
        "norm.bias": ("embeddings.LayerNorm.bias",),
        "span.weight": ("qa_outputs.weight",),
        "span.bias": ("qa_outputs.bias",),
    }
    if config.family == "bert":
        names["types.weight"] = ("embeddings.token_type_embeddings.weight",)
        parts = {
            "qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
            "out": ("attention.output.dense",),
            "attention_norm": ("attention.output.LayerNorm",),
        }
    else:
        names["relative.weight"] = ("encoder.relative_attention_bias.weight",)
        parts = {
            "qkv": ("attention.attn.q", "attention.attn.k", "attention.attn.v"),
            "out": ("attention.attn.o",),
            "attention_norm": ("attention.LayerNorm",),
        }
    parts |= {
        "up": ("intermediate.dense",),
        "down": ("output.dense",),
        "norm": ("output.LayerNorm",),
    }
    for layer in range(config.layers):
        for ours, theirs in parts.items():
            for kind in ("weight", "bias"):
                names[f"layers.{layer}.{ours}.{kind}"] = tuple(
                    f"encoder.layer.{layer}.{name}.{kind}" for name in theirs
                )
    return names
