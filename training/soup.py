"""Trained models -> one whose weights are their mean.

    python -m training.soup CHECKPOINT CHECKPOINT… --out FOLDER

Runs that began alike end near each other, each wrong in its own way. Their mean can answer better
than any of them and costs no more than one ("model soups", Wortsman et al. 2022).
"""

import argparse
import shutil
from pathlib import Path

import torch

from training.encoder import Encoder
from training.trainer import FROZEN


def mean(folders: list[Path]) -> Encoder:
    """The encoder with the mean weights of those in these transformers folders.

    Raises ValueError where one of them was made of another base than the first.
    """
    encoder, *others = (Encoder.from_pretrained(folder) for folder in folders)
    state = encoder.state_dict()
    for folder, other in zip(folders[1:], others, strict=True):
        if other.config != encoder.config or any(
            not torch.equal(value, state[name])
            for name, value in other.state_dict().items()
            if name.startswith(FROZEN)
        ):
            raise ValueError(f"{folder} and {folders[0]} were not made of the same base.")
    states = [each.state_dict() for each in (encoder, *others)]
    for name in state:
        if not name.startswith(FROZEN):
            state[name] = torch.stack([each[name] for each in states]).mean(0)
    encoder.load_state_dict(state)
    return encoder


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.soup", description=__doc__.split("\n")[0]
    )
    parser.add_argument("models", nargs="+", type=Path, help="transformers folders of one base")
    parser.add_argument("--out", type=Path, required=True, help="the transformers folder to write")
    options = parser.parse_args(arguments)
    mean(options.models).save_pretrained(options.out)
    shutil.copyfile(options.models[0] / "tokenizer.json", options.out / "tokenizer.json")


if __name__ == "__main__":
    main()
