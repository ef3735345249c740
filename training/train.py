"""Fine-tune an encoder for span extraction on a CPU, in as many stretches as it takes.

    python -m training.train --base BASE_FOLDER --data train-v1.1.json --out FOLDER

Run again with the same arguments, it goes on from the newest checkpoint, bit for bit as if it had
never stopped. SIGTERM or Ctrl-C finishes the step, writes a checkpoint and exits with 0.

Precision: the model computes in bf16, which a CPU's AMX units multiply; the optimizer works on FP32
master weights, whose updates would vanish in bf16's eight bits. Embedding tables and MPNet's
relative bias are frozen: their gradients cost time, and words never met in training should stay
where they are.

Schedule: warm-up, then a constant rate, because one that decays towards a planned end is only good
at that end. What is evaluated and exported is an exponential moving average of the master weights,
which takes the place of the decay (Hägele et al. 2024, "Scaling Laws and Compute-Optimal Training
Beyond Fixed Training Durations"): every checkpoint is a finished model. --cooldown ends a run with
what the average cannot quite give: a decay to zero, as 1 - sqrt (their best form), over the tokens
named, from the checkpoint on.

What is written to --out:
    checkpoint-TOKENS.pt   everything needed to go on; the newest two
    model/                 the averaged weights as a transformers folder, with the base's tokenizer
    log.jsonl              the loss curve, one line every few steps

Leaves out evaluation: export the model and use `python -m qa evaluate`.
"""

import argparse
import fcntl
import json
import math
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.data import Batch, Batches, Corpus, Position, read_titles
from training.encoder import Encoder
from training.loss import span_loss

FROZEN = ("words.", "positions.", "types.", "relative.")
CHECKPOINTS_KEPT = 2

# The average spans at most this part of the tokens seen: it soon forgets the untrained head.
EMA_SHARE = 0.25


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
    """A model with its master weights, optimizer, average and position."""

    def __init__(self, model: Encoder, batches: Batches, recipe: Recipe) -> None:
        self.recipe = recipe
        self.batches = batches
        self.position = Position()
        self.step = 0
        self.tokens = 0
        self.cooldown: tuple[int, int] | None = None

        trained = {n: p for n, p in model.named_parameters() if not n.startswith(FROZEN)}
        self.frozen = {
            n: p.detach().clone() for n, p in model.named_parameters() if n.startswith(FROZEN)
        }
        self.master = {name: p.detach().clone().float() for name, p in trained.items()}
        self.average = {name: weight.clone() for name, weight in self.master.items()}
        self.model = model.to(torch.bfloat16)
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
        terms = span_loss(start, end, batch)
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


class Folder:
    """What a run writes, as the module's docstring lists it."""

    def __init__(self, path: Path, tokenizer: Path) -> None:
        self.path = path
        self.log = path / "log.jsonl"
        self.tokenizer = tokenizer

    def newest(self) -> Path | None:
        """The newest checkpoint, if there is one."""
        return max(self.path.glob("checkpoint-*.pt"), default=None)

    def save(self, trainer: Trainer, data: dict[str, Any]) -> None:
        """Write a checkpoint and the averaged model, whole or not at all; drop old checkpoints."""
        partial = self.path / "checkpoint.partial"
        torch.save({"data": data, "trainer": trainer.state()}, partial)
        _replace(partial, self.path / f"checkpoint-{trainer.tokens:012d}.pt")
        for old in sorted(self.path.glob("checkpoint-*.pt"))[:-CHECKPOINTS_KEPT]:
            old.unlink()
        model, written = self.path / "model", self.path / "model.partial"
        trainer.averaged().save_pretrained(written)
        shutil.copyfile(self.tokenizer, written / "tokenizer.json")
        model.mkdir(exist_ok=True)
        for file in written.iterdir():
            _replace(file, model / file.name)
        written.rmdir()

    def restore(self, trainer: Trainer, data: dict[str, Any]) -> bool:
        """Go on from the newest checkpoint; False if there is none.

        Raises ValueError when it was made with other data: its position would mean something else.
        """
        path = self.newest()
        if path is None:
            return False
        stored = torch.load(path, weights_only=True)
        for name, value in data.items():
            if stored["data"][name] != value:
                raise ValueError(
                    f"{path} was made with {name} {stored['data'][name]}, not {value}: "
                    "use the same, or another --out."
                )
        trainer.restore(stored["trainer"])
        if self.log.exists():  # Lines of steps after the checkpoint will be written again.
            lines = self.log.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if json.loads(line)["step"] <= trainer.step]
            self.log.write_text("".join(kept), encoding="utf-8")
        return True


class Curve:
    """Means of the loss since the last line of the log."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.tokens = 0
        self.answered: list[Tensor] = []
        self.unanswered: list[Tensor] = []

    def add(self, batch: Batch, terms: Tensor) -> None:
        self.tokens += batch.tokens
        split = len(terms) - len(batch.pair_of)
        self.answered.append(terms[:split])
        self.unanswered.append(terms[split:])

    def line(self, trainer: Trainer) -> dict[str, float]:
        answered, unanswered = torch.cat(self.answered), torch.cat(self.unanswered)
        position = trainer.position
        values = {
            "epoch": position.epoch + position.chunk / trainer.batches.chunks,
            "loss": torch.cat([answered, unanswered]).mean().item(),
            "loss_answered": answered.mean().item(),
            "loss_unanswered": unanswered.mean().item() if len(unanswered) else None,
            "rate": trainer.optimizer.param_groups[0]["lr"],
            "tokens_per_second": self.tokens / (time.monotonic() - self.began),
        }
        rounded = {k: None if v is None else float(f"{v:.4g}") for k, v in values.items()}
        return {"step": trainer.step, "tokens": trainer.tokens} | rounded


def _replace(partial: Path, path: Path) -> None:
    """Move a file into place once it is on the disk: a crash leaves the old one or the new one."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


@contextmanager
def _only_run_in(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system takes back however the process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"Another run is writing to {folder}: stop it first.") from None
        yield


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """The SIGTERM and SIGINT signals received so far, instead of dying of them."""
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.train", description="Fine-tune an encoder for span extraction."
    )
    recipe = Recipe()
    add = parser.add_argument
    add("--base", type=Path, required=True, help="transformers folder to start from")
    add("--data", type=Path, nargs="+", required=True, help="SQuAD v1.1 files")
    add("--exclude-titles", type=Path, help="file of article titles to leave out, one a line")
    add("--out", type=Path, required=True, help="folder of checkpoints, model and log")
    add("--epochs", type=int, default=1, help="end after so many epochs (default 1)")
    add("--cooldown", type=float, metavar="TOKENS", help="decay the rate to zero, then end")
    add("--rate", type=float, default=recipe.rate, help=f"peak rate (default {recipe.rate})")
    add("--warmup", type=float, metavar="TOKENS", default=recipe.warmup, help="default 1e6")
    add("--ema", type=float, metavar="TOKENS", default=recipe.ema, help="average over (1.5e6)")
    add("--unanswerable", type=float, default=0.25, help="share asked twice (default 0.25)")
    add("--batch-tokens", type=int, default=5120, help="tokens in a batch (default 5120)")
    add("--longest", type=int, default=320, help="tokens in a sequence (default 320)")
    add("--seed", type=int, default=0)
    add("--threads", type=int, default=2)
    add("--save-minutes", type=float, default=10.0, help="between checkpoints (default 10)")
    add("--log-steps", type=int, default=20, help="between lines of the log (default 20)")
    add("--pid-file", type=Path, help="file that holds the process id while it runs")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    with _only_run_in(args.out):
        if args.pid_file:
            args.pid_file.write_text(f"{os.getpid()}\n", encoding="utf-8")
        try:
            _run(args)
        finally:
            if args.pid_file:
                args.pid_file.unlink(missing_ok=True)


def _run(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)  # of the span head, where the base has none
    model = Encoder.from_pretrained(args.base)
    tokenizer = args.base / "tokenizer.json"
    exclude = read_titles(args.exclude_titles) if args.exclude_titles else frozenset()
    corpus = Corpus.read(args.data, Tokenizer.from_file(str(tokenizer)), exclude)
    data = {
        "seed": args.seed,
        "batch_tokens": args.batch_tokens,
        "longest": args.longest,
        "unanswerable": args.unanswerable,
        "questions": len(corpus.questions),
    }
    batches = Batches(
        corpus,
        pad_id=model.config.pad_id,
        seed=args.seed,
        tokens=args.batch_tokens,
        longest=args.longest,
        unanswerable=args.unanswerable,
    )
    trainer = Trainer(model, batches, Recipe(rate=args.rate, warmup=args.warmup, ema=args.ema))
    folder = Folder(args.out, tokenizer)
    resumed = folder.restore(trainer, data)
    if args.cooldown and trainer.cooldown is None:
        trainer.cooldown = (trainer.tokens, int(args.cooldown))
    paired = sum(question.other is not None for question in corpus.questions)
    print(f"{len(corpus.questions)} questions, {paired} with another paragraph to be asked of")
    print(f"{corpus.skipped} skipped: the answer is not where the file says")
    begin = "Going on from" if resumed else "Starting at"
    print(f"{begin} step {trainer.step}: {trainer.recipe}", flush=True)
    train(trainer, folder, data, args)


def train(trainer: Trainer, folder: Folder, data: dict[str, Any], args: argparse.Namespace) -> None:
    """Train until the epochs or the cooldown are over or a signal says stop; then save."""

    def finished() -> bool:
        if trainer.cooldown is not None:
            return trainer.finished
        return trainer.position.epoch >= args.epochs

    saved = time.monotonic()
    curve = Curve()
    with _stop_requests() as signals, folder.log.open("a", encoding="utf-8") as log:
        steps = trainer.run()
        while not signals and not finished():
            curve.add(*next(steps))
            if trainer.step % args.log_steps == 0:
                line = json.dumps(curve.line(trainer))
                print(line, file=log, flush=True)
                print(line, flush=True)
                curve = Curve()
            if time.monotonic() - saved > args.save_minutes * 60:
                folder.save(trainer, data)
                saved = time.monotonic()
        folder.save(trainer, data)
    print(f"Stopped at step {trainer.step}.", flush=True)


if __name__ == "__main__":
    main()
