"""Fine-tune an encoder for span extraction on a CPU, in as many stretches as it takes.

    python -m training.train --base BASE_FOLDER --data train-v1.1.json --out FOLDER

Run again with the same arguments, it goes on from the newest checkpoint, bit for bit as if it had
never stopped, on the same kind of processor. SIGTERM or Ctrl-C finishes the step, writes a
checkpoint and exits with 0. How it is trained is said in trainer.py, what is written to --out in
checkpoints.py.

Leaves out evaluation: export the model and use `python -m qa evaluate`.
"""

import argparse
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.batches import Batch, Batches, padded
from training.checkpoints import Folder
from training.data import Corpus, read_titles
from training.encoder import Encoder
from training.loss import Loss, span_loss
from training.stretch import alone_in, stop_requests
from training.trainer import Recipe, Trainer, fastest_dtype

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


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


def positive(text: str) -> float:
    """A number above zero, as a command-line argument."""
    number = float(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return number


def parser(module: str, description: str) -> argparse.ArgumentParser:
    """The arguments that say what to train, on what and for how long."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    recipe = Recipe()
    add = parser.add_argument
    add_corpus(parser)
    add("--out", type=Path, required=True, help="folder of checkpoints, model and log")
    add("--epochs", type=int, default=1, help="end after so many epochs (default 1)")
    add("--cooldown", type=positive, metavar="TOKENS", help="decay the rate to zero, then end")
    add("--rate", type=positive, default=recipe.rate, help=f"peak rate (default {recipe.rate})")
    add("--warmup", type=positive, metavar="TOKENS", default=recipe.warmup, help="default 1e6")
    add("--ema", type=positive, metavar="TOKENS", default=recipe.ema, help="average over (1.5e6)")
    add("--unanswerable", type=float, default=0.25, help="share asked twice (default 0.25)")
    add("--batch-tokens", type=int, default=5120, help="tokens in a batch (default 5120)")
    add("--longest", type=int, default=320, help="tokens in a sequence (default 320)")
    add("--from-layer", type=int, default=0, help="train this layer and those above it (0: all)")
    add("--seed", type=int, default=0)
    add("--dtype", choices=DTYPES, help="to compute in (default: bf16 where the CPU multiplies it)")
    add("--save-minutes", type=float, default=10.0, help="between checkpoints (default 10)")
    add("--log-steps", type=int, default=20, help="between lines of the log (default 20)")
    add("--pid-file", type=Path, help="file that holds the process id while it runs")
    return parser


def add_corpus(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `read_corpus` reads, and the number of threads."""
    add = parser.add_argument
    add("--base", type=Path, required=True, help="transformers folder to start from")
    add("--data", type=Path, nargs="+", required=True, help="SQuAD v1.1 files")
    add("--exclude-titles", type=Path, help="file of article titles to leave out, one a line")
    add("--threads", type=int, default=2)


def read_corpus(args: argparse.Namespace) -> Corpus:
    """The questions to train on, as the base's tokenizer splits them."""
    exclude = read_titles(args.exclude_titles) if args.exclude_titles else frozenset()
    tokenizer = Tokenizer.from_file(str(args.base / "tokenizer.json"))
    return Corpus.read(args.data, tokenizer, exclude)


def train(args: argparse.Namespace, corpus: Corpus, loss: Loss, made_with: dict[str, Any]) -> None:
    """Train until the epochs or the cooldown are over or a signal says stop; then save.

    `made_with` is what the loss depends on: a run only goes on with the same.
    """
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)  # of the span head, where the base has none
    model = Encoder.from_pretrained(args.base)
    if padded(args.longest) > model.config.longest:
        raise ValueError(
            f"{args.base} reads {model.config.longest} tokens at most: give a smaller --longest."
        )
    if not 0 <= args.from_layer <= model.config.layers:
        raise ValueError(f"{args.base} has layers from 0 to {model.config.layers - 1}.")
    data = {
        "seed": args.seed,
        "batch_tokens": args.batch_tokens,
        "longest": args.longest,
        "unanswerable": args.unanswerable,
        "from_layer": args.from_layer,
        "questions": corpus.fingerprint(),
        "base": hashlib.sha256((args.base / "model.safetensors").read_bytes()).hexdigest(),
    } | made_with
    batches = Batches(
        corpus,
        pad_id=model.config.pad_id,
        seed=args.seed,
        tokens=args.batch_tokens,
        longest=args.longest,
        unanswerable=args.unanswerable,
    )
    recipe = Recipe(rate=args.rate, warmup=args.warmup, ema=args.ema)
    dtype = fastest_dtype() if args.dtype is None else DTYPES[args.dtype]
    trainer = Trainer(model, batches, recipe, loss, dtype, args.from_layer)
    folder = Folder(args.out, args.base / "tokenizer.json")
    resumed = folder.restore(trainer, data)
    if args.cooldown and trainer.cooldown is None:
        trainer.cooldown = (trainer.tokens, int(args.cooldown))
    paired = sum(question.other is not None for question in corpus.questions)
    print(f"{len(corpus.questions)} questions, {paired} with another paragraph to be asked of")
    print(f"{corpus.skipped} skipped: the answer is not where the file says")
    begin = "Going on from" if resumed else "Starting at"
    print(f"{begin} step {trainer.step} in {dtype}: {trainer.recipe}", flush=True)
    _steps(trainer, folder, data, args)


def _steps(
    trainer: Trainer, folder: Folder, data: dict[str, Any], args: argparse.Namespace
) -> None:
    def finished() -> bool:
        if trainer.cooldown is not None:
            return trainer.finished
        return trainer.position.epoch >= args.epochs

    saved = time.monotonic()
    curve = Curve()
    with stop_requests() as signals, folder.log.open("a", encoding="utf-8") as log:
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


def main(arguments: list[str] | None = None) -> None:
    described = parser("training.train", "Fine-tune an encoder for span extraction.")
    args = described.parse_args(arguments)
    with alone_in(args.out, args.pid_file):
        train(args, read_corpus(args), span_loss, {})


if __name__ == "__main__":
    main()
