"""A model in training: its weights, their FP32 masters, optimizer, average and place in the data.

Precision: where a CPU multiplies bf16 (AMX, AVX-512 BF16) the model computes in it; the optimizer
works on FP32 master weights, whose updates would vanish in bf16's eight bits. Other CPUs emulate
bf16, at half the speed of FP32 or less: there the model computes in FP32. Embedding tables and
MPNet's relative bias are frozen: their gradients cost time, and words never met in training should
stay where they are.

Schedule: warm-up, then a constant rate, because one that decays towards a planned end is only good
at that end. What is evaluated and exported is an exponential moving average of the master weights,
which takes the place of the decay (Hägele et al. 2024, "Scaling Laws and Compute-Optimal Training
Beyond Fixed Training Durations"): every checkpoint is a finished model. A cooldown ends a run with
what the average cannot quite give: a decay to zero, as 1 - sqrt (their best form).

Leaves out files (checkpoints.py) and when to stop (train.py).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training.batches import Batch, Batches, Position
from training.encoder import Encoder
from training.loss import Loss

FROZEN = ("words.", "positions.", "types.", "relative.")


def frozen(from_layer: int) -> tuple[str, ...]:
    """How the names begin of what is not trained, where layers are from this one on."""
    if from_layer == 0:
        return FROZEN
    return (*FROZEN, "norm.", *(f"layers.{layer}." for layer in range(from_layer)))


# The average spans at most this part of the tokens seen: it soon forgets the untrained head.
EMA_SHARE = 0.25


def fastest_dtype() -> torch.dtype:
    """What this processor computes in fastest: bf16 only where it has instructions for that."""
    has = torch.cpu.get_capabilities()
    return torch.bfloat16 if has.get("amx_bf16") or has.get("avx512_bf16") else torch.float32


@dataclass(frozen=True)
class Recipe:
    """How to train. Lengths of time are in tokens, which do not change with the batch size."""

    rate: float = 3e-5
    warmup: float = 1e6
    ema: float = 1.5e6
    decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0

    def rate_at(self, tokens: int, cooldown: tuple[int, int] | None) -> float:
        """The rate after `tokens`; a cooldown is the tokens it began at and how many it lasts."""
        rate = self.rate * min(1.0, tokens / self.warmup)
        if cooldown is not None:
            begin, length = cooldown
            rate *= 1 - math.sqrt(min(1.0, max(0, tokens - begin) / length))
        return rate


class Trainer:
    """A model computing in `dtype`, with its master weights, optimizer, average and position; it
    learns in the layers from `from_layer` on."""

    def __init__(
        self,
        model: Encoder,
        batches: Batches,
        recipe: Recipe,
        loss: Loss,
        dtype: torch.dtype,
        from_layer: int = 0,
    ) -> None:
        self.recipe = recipe
        self.loss = loss
        self.batches = batches
        self.position = Position()
        self.step = 0
        self.tokens = 0
        self.cooldown: tuple[int, int] | None = None

        kept = frozen(from_layer)
        trained = {n: p for n, p in model.named_parameters() if not n.startswith(kept)}
        self.frozen = {
            n: p.detach().clone() for n, p in model.named_parameters() if n.startswith(kept)
        }
        self.master = {name: p.detach().clone().float() for name, p in trained.items()}
        self.average = {name: weight.clone() for name, weight in self.master.items()}
        self.model = model.to(dtype)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in trained)
        self.weights = {n: p for n, p in model.named_parameters() if n in trained}
        # Norms and biases are not decayed: zero is no better a place for them.
        matrices = [weight for weight in self.master.values() if weight.ndim > 1]
        vectors = [weight for weight in self.master.values() if weight.ndim == 1]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": recipe.decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=recipe.rate,
            betas=recipe.betas,
            fused=True,
        )

    def run(self) -> Iterator[tuple[Batch, Tensor]]:
        """Train without end: each step's batch and loss terms, once the step is taken."""
        for batch, following in self.batches.after(self.position):
            terms = self._learn(batch)
            self.position = following
            yield batch, terms

    def _learn(self, batch: Batch) -> Tensor:
        start, end = self.model(batch.input_ids, batch.attention_mask, batch.token_type_ids)
        terms = self.loss(start, end, batch)
        terms.mean().backward()
        self.step += 1
        self.tokens += batch.tokens
        with torch.no_grad():
            for name, weight in self.weights.items():
                self.master[name].grad = weight.grad.float()
                weight.grad = None
            torch.nn.utils.clip_grad_norm_(self.master.values(), self.recipe.clip)
            for group in self.optimizer.param_groups:
                group["lr"] = self.recipe.rate_at(self.tokens, self.cooldown)
            self.optimizer.step()
            self.optimizer.zero_grad()
            span = min(self.recipe.ema, self.tokens * EMA_SHARE)
            newest = -math.expm1(-batch.tokens / span)
            for name, weight in self.weights.items():
                weight.copy_(self.master[name])
                self.average[name].lerp_(self.master[name], newest)
        return terms.detach()

    @property
    def finished(self) -> bool:
        """Whether the cooldown is over."""
        return self.cooldown is not None and self.tokens >= sum(self.cooldown)

    def averaged(self) -> Encoder:
        """The averaged weights as a float32 model."""
        model = Encoder(self.model.config)
        model.load_state_dict(self.frozen | self.average)
        return model

    def state(self) -> dict[str, Any]:
        """All that changes in training; random choices follow from the seed and the position."""
        return {
            "master": self.master,
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "position": tuple(self.position),
            "step": self.step,
            "tokens": self.tokens,
            "cooldown": self.cooldown,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from another trainer's state()."""
        with torch.no_grad():
            for name, weight in self.weights.items():
                self.master[name].copy_(state["master"][name])
                self.average[name].copy_(state["average"][name])
                weight.copy_(self.master[name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.position = Position(*state["position"])
        self.step = state["step"]
        self.tokens = state["tokens"]
        self.cooldown = state["cooldown"]
