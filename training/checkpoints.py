"""The folder that a run writes and goes on from:

    checkpoint-TOKENS.pt   everything needed to go on; the newest two
    model/                 the averaged weights as a transformers folder, with the base's tokenizer
    log.jsonl              the loss curve, one line every few steps

Whatever happens while a file is written, the old one or the new one is there.
"""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import torch

from training.stretch import replace
from training.trainer import Trainer

CHECKPOINTS_KEPT = 2


class Folder:
    """What a run writes. `data` below is what decides which batches there are and what they
    teach: a checkpoint's position and optimizer mean nothing without it."""

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
        replace(partial, self.path / f"checkpoint-{trainer.tokens:012d}.pt")
        for old in sorted(self.path.glob("checkpoint-*.pt"))[:-CHECKPOINTS_KEPT]:
            old.unlink()
        model, written = self.path / "model", self.path / "model.partial"
        trainer.averaged().save_pretrained(written)
        shutil.copyfile(self.tokenizer, written / "tokenizer.json")
        model.mkdir(exist_ok=True)
        for file in written.iterdir():
            replace(file, model / file.name)
        written.rmdir()

    def restore(self, trainer: Trainer, data: dict[str, Any]) -> bool:
        """Go on from the newest checkpoint; False if there is none.

        Raises ValueError when it was made with other data.
        """
        path = self.newest()
        if path is None:
            return False
        stored = torch.load(path, weights_only=True)
        for name in sorted(data.keys() | stored["data"].keys()):
            was, value = stored["data"].get(name), data.get(name)
            if was != value:
                raise ValueError(
                    f"{path} was made with {name} {was}, not {value}: use the same, "
                    "or another --out."
                )
        trainer.restore(stored["trainer"])
        if self.log.exists():  # Lines of steps after the checkpoint will be written again.
            lines = self.log.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if _step(line) <= trainer.step]
            written = self.log.with_suffix(".partial")
            written.write_text("".join(kept), encoding="utf-8")
            replace(written, self.log)
        return True


def _step(line: str) -> float:
    """Return the step that a line of the log is of; infinity for one that a crash cut off."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return math.inf
