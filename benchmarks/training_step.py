"""What makes a training step fast: a step as it is, and with each of its parts done the usual way.

    python -m benchmarks.training_step [--encoder mpnet] [--rounds 3]

Forward and backward passes of random weights over one batch of random tokens, each way in a process
of its own, taking turns; tokens a second, medians of all rounds, and the ratio to the step as it
is, which computes in bf16 where a processor has instructions for it and in FP32 elsewhere. --ways
leaves out the others. The optimizer's part is left out. It needs training/requirements.txt.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (PyTorch's own convention)

from training.dense import Dense
from training.encoder import Encoder, EncoderConfig, Layer
from training.trainer import FROZEN, fastest_dtype, frozen

ENCODERS = {
    "mpnet": EncoderConfig("mpnet", 12, 768, 12, 3072, 30527, 514, 1e-5, 1),
    "minilm": EncoderConfig("bert", 6, 384, 12, 1536, 30522, 512, 1e-12, 0),
}
ROWS, LENGTH = 26, 176
DROPOUT = 0.1
OTHER = {torch.bfloat16: torch.float32, torch.float32: torch.bfloat16}


def fused_attention(layer: Layer, x: Tensor, bias: Tensor) -> Tensor:
    """Layer.forward with PyTorch's one operator for attention."""
    batch, sequence, _ = x.shape
    packed = layer.qkv(x).view(batch, sequence, 3, layer.heads, layer.head_width)
    q, k, v = packed.permute(2, 0, 3, 1, 4).unbind(0)
    attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    x = layer.attention_norm(x + layer.out(attended.transpose(1, 2).reshape(x.shape)))
    return layer.norm(x + layer.down(F.gelu(layer.up(x))))


def dropped(layer: Layer, x: Tensor, bias: Tensor) -> Tensor:
    """Layer.forward with BERT's dropout."""
    batch, sequence, width = x.shape
    packed = layer.qkv(x).view(batch, sequence, 3, layer.heads, layer.head_width)
    q, k, v = packed.permute(2, 0, 3, 1, 4).unbind(0)
    scores = (q * layer.head_width**-0.5) @ k.transpose(-1, -2)
    attended = F.dropout(scores.add_(bias).softmax(-1), DROPOUT) @ v
    merged = attended.transpose(1, 2).reshape(batch, sequence, width)
    x = layer.attention_norm(x + F.dropout(layer.out(merged), DROPOUT))
    return layer.norm(x + F.dropout(layer.down(F.gelu(layer.up(x))), DROPOUT))


def usual_gradients(model: Encoder) -> Encoder:
    Dense.forward = nn.Linear.forward  # type: ignore[method-assign]
    return model


def upper_quarter(model: Encoder) -> Encoder:
    """Train only that many layers, and the head."""
    lower = frozen(model.config.layers * 3 // 4)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(lower))
    return model.to(fastest_dtype())


def with_layers(forward: Callable[[Layer, Tensor, Tensor], Tensor]) -> Callable[[Encoder], Encoder]:
    def change(model: Encoder) -> Encoder:
        Layer.forward = forward  # type: ignore[method-assign]
        return model.to(fastest_dtype())

    return change


# Each changes a model of FP32 weights before it is timed.
WAYS: dict[str, Callable[[Encoder], nn.Module]] = {
    "as it is": lambda model: model.to(fastest_dtype()),
    "gradients of nn.Linear": lambda model: usual_gradients(model).to(fastest_dtype()),
    "scaled_dot_product_attention": with_layers(fused_attention),
    "dropout of 0.1": with_layers(dropped),
    "autocast, gradients of nn.Linear": usual_gradients,
    "the other of bf16 and FP32": lambda model: model.to(OTHER[fastest_dtype()]),
    "the upper quarter of the layers": upper_quarter,
    "the whole model compiled": lambda model: torch.compile(model.to(fastest_dtype())),
}


def tokens_per_second(way: str, encoder: str, steps: int, threads: int) -> float:
    """The median of some steps, the first two left out."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    plain = Encoder(ENCODERS[encoder])
    for name, parameter in plain.named_parameters():
        parameter.requires_grad_(not name.startswith(FROZEN))
    model = WAYS[way](plain)
    ids = torch.randint(5, 30000, (ROWS, LENGTH))
    mask = torch.ones_like(ids)
    seconds = []
    for _ in range(steps + 2):
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=way.startswith("autocast")):
            start, end = model(ids, mask)
        loss = -(start.log_softmax(-1) + end.log_softmax(-1))[:, 7].mean()
        loss.backward()
        seconds.append(time.perf_counter() - began)
        plain.zero_grad()
    return ids.numel() / statistics.median(seconds[2:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--encoder", choices=ENCODERS, default="mpnet")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ways", nargs="+", choices=[*WAYS][1:], default=[*WAYS][1:])
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(tokens_per_second(options.one, options.encoder, options.steps, options.threads))
        return
    speeds: dict[str, list[float]] = {way: [] for way in [*WAYS][:1] + options.ways}
    shape = ["--encoder", options.encoder, "--steps", str(options.steps)]
    command = [sys.executable, "-m", "benchmarks.training_step", *shape]
    for _ in range(options.rounds):
        for way, found in speeds.items():
            arguments = [*command, "--threads", str(options.threads), "--one", way]
            done = subprocess.run(arguments, stdout=subprocess.PIPE, check=True, text=True)
            found.append(float(done.stdout))
    medians = {way: statistics.median(found) for way, found in speeds.items()}
    first = next(iter(medians.values()))
    for way, speed in medians.items():
        print(f"{way:34} {speed:6.0f} tokens/s  {speed / first:.2f}")
    print(json.dumps(speeds))


if __name__ == "__main__":
    main()
