"""A trained encoder -> a model folder with an FP32 ONNX graph.

    python -m training.export CHECKPOINT OUT

CHECKPOINT is a transformers folder; OUT receives model.onnx and tokenizer.json. The graph computes
what `Encoder` computes, in the form that ONNX Runtime's CPU kernels run fastest:

* tokens are rows of one matrix, so that every dense layer is a Gemm, whose bias, once quantized, is
  part of the integer product (behind a MatMul it stays an Add of its own);
* LayerNormalization and Gelu are single nodes;
* the factor 1/sqrt(head width) is part of the query's weights;
* BERT's mask is no Add over all scores, the largest tensor of a layer: it rides as one more
  component of each head, 1 in the queries and 0 or MASKED in the keys. MPNet has a bias for every
  pair of positions, which is added, mask included.

Batch and sequence axes are dynamic. Nothing is quantized here, and no card is written.
"""

import argparse
import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (PyTorch's own convention)

from training.encoder import MASKED, Encoder, Layer

# The first operator set with Gelu as one node.
OPSET = 20
OUTPUTS = ("output_s", "output_e")
# The largest difference between the logits of the graph and those of the trained model.
TOLERANCE = 1e-4


class RuntimeLayer(nn.Module):
    """A layer with a projection each for query, key and value: the same products as one stacked
    projection, without splitting its result."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.heads = layer.heads
        self.head_width = layer.head_width
        width = layer.out.in_features
        parts = zip(layer.qkv.weight.chunk(3), layer.qkv.bias.chunk(3), strict=True)
        self.query, self.key, self.value = (_linear(weight, bias) for weight, bias in parts)
        self.query.weight.mul_(self.head_width**-0.5)
        self.query.bias.mul_(self.head_width**-0.5)
        self.width = width
        self.out = layer.out
        self.attention_norm = layer.attention_norm
        self.up = layer.up
        self.down = layer.down
        self.norm = layer.norm

    def forward(
        self, x: Tensor, batch: int, bias: Tensor | None, carried: tuple[Tensor, ...]
    ) -> Tensor:
        """x [batch * sequence, width]; bias [batch, heads, sequence, sequence] or None; carried: a
        component for queries and one for keys, [batch, sequence, heads, 1] each, or nothing."""
        split = (batch, -1, self.heads, self.head_width)
        q, k, v = (part(x).reshape(split) for part in (self.query, self.key, self.value))
        if carried:
            q, k = torch.cat([q, carried[0]], -1), torch.cat([k, carried[1]], -1)
        scores = q.transpose(1, 2) @ k.permute(0, 2, 3, 1)
        if bias is not None:
            scores = scores + bias
        attended = scores.softmax(-1) @ v.transpose(1, 2)
        merged = attended.transpose(1, 2).reshape(-1, self.width)
        x = self.attention_norm(x + self.out(merged))
        return self.norm(x + self.down(F.gelu(self.up(x))))


class RuntimeEncoder(nn.Module):
    """An encoder in the form described above. Shares its weights, the query's apart."""

    @torch.no_grad()
    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = encoder.config
        self.layers = nn.ModuleList(RuntimeLayer(layer) for layer in encoder.layers)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """As Encoder.forward."""
        batch, sequence = input_ids.shape
        heads = self.config.heads
        bias, carried = None, ()
        if self.config.family == "mpnet":
            bias = self.encoder.attention_bias(attention_mask, torch.float32)
        else:
            masked = (1 - attention_mask.to(torch.float32)) * MASKED
            keys = masked[:, :, None, None].expand(-1, -1, heads, -1)
            carried = (torch.ones(batch, sequence, heads, 1), keys)
        x = self.encoder.embed(input_ids, token_type_ids).reshape(-1, self.config.width)
        for layer in self.layers:
            x = layer(x, batch, bias, carried)
        start, end = self.encoder.span(x).reshape(batch, sequence, 2).split(1, -1)
        return start.squeeze(-1), end.squeeze(-1)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    linear.weight.copy_(weight)
    linear.bias.copy_(bias)
    return linear


def export(checkpoint: Path, out: Path) -> float:
    """Write the model folder; return the largest difference of its logits from the trained model's.

    Raises RuntimeError where that exceeds TOLERANCE.
    """
    encoder = Encoder.from_pretrained(checkpoint).eval()
    out.mkdir(parents=True, exist_ok=True)
    write_graph(encoder, out / "model.onnx")
    write_tokenizer(checkpoint / "tokenizer.json", out / "tokenizer.json")
    difference = parity(encoder, out / "model.onnx")
    if difference > TOLERANCE:
        raise RuntimeError(f"The graph's logits are {difference:.1e} off the trained model's.")
    return difference


def write_graph(encoder: Encoder, path: Path) -> None:
    """Write the graph; its inputs are those the family has."""
    inputs = example(encoder, batch=2, sequence=16, seed=0)
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with warnings.catch_warnings():
        # The exporter warns of its own library.
        warnings.filterwarnings("ignore", "`isinstance\\(treespec", FutureWarning)
        program = torch.onnx.export(
            RuntimeEncoder(encoder).eval(),
            kwargs=inputs,
            dynamic_shapes=dict.fromkeys(inputs, axes),
            input_names=list(inputs),
            output_names=list(OUTPUTS),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    with tempfile.TemporaryDirectory() as folder:
        program.save(Path(folder) / "model.onnx", external_data=False)
        onnx.save(_tidied(onnx.load(Path(folder) / "model.onnx")), path)


def _tidied(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop what the exporter notes about our source files, and name the axes."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
    for value in [*model.graph.input, *model.graph.output]:
        del value.metadata_props[:]
        for axis, name in zip(value.type.tensor_type.shape.dim, ("batch", "sequence"), strict=True):
            axis.dim_param = name
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    return model


def example(encoder: Encoder, batch: int, sequence: int, seed: int) -> dict[str, Tensor]:
    """Random tokens, rows padded on the right but for the first, by input name."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, encoder.config.vocabulary, (batch, sequence), generator=generator)
    lengths = torch.randint(sequence // 2, sequence + 1, (batch, 1), generator=generator)
    lengths[0] = sequence
    mask = (torch.arange(sequence) < lengths).long()
    inputs = {"input_ids": ids * mask + encoder.config.pad_id * (1 - mask), "attention_mask": mask}
    if encoder.config.family == "bert":
        inputs["token_type_ids"] = (torch.arange(sequence) >= sequence // 4).long() * mask
    return inputs


@torch.no_grad()
def parity(encoder: Encoder, path: Path) -> float:
    """The largest difference between the logits of graph and encoder, padding left out."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch, sequence in ((1, 5), (3, 64), (2, min(384, encoder.config.longest))):
        inputs = example(encoder, batch, sequence, seed=sequence)
        got = session.run(list(OUTPUTS), {name: value.numpy() for name, value in inputs.items()})
        real = inputs["attention_mask"].bool().numpy()
        for ours, theirs in zip(got, encoder(**inputs), strict=True):
            worst = max(worst, float(np.abs(ours - theirs.numpy())[real].max()))
    return worst


def write_tokenizer(source: Path, path: Path) -> None:
    """Copy tokenizer.json, compact, without truncation and padding: windows are the app's."""
    tokenizer = json.loads(source.read_text(encoding="utf-8"))
    tokenizer["truncation"] = None
    tokenizer["padding"] = None
    text = json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.export", description=__doc__.split("\n")[0]
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    difference = export(options.checkpoint, options.out)
    size = (options.out / "model.onnx").stat().st_size
    print(f"{options.out}: {size:,} bytes, logits within {difference:.1e} of the trained model's")


if __name__ == "__main__":
    main()
