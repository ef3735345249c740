"""A bundled model -> a transformers folder to train on from.

    python -m training.restore models/minilm-l6-squad-int8 --base bases-minilm --out FOLDER

For whoever has the INT8 graph and no checkpoint. Weights and biases of dense layers come back as
they were rounded; layer norms, the head and what training never changes (the embeddings, taken from
the base) come back exactly. Activations, which the graph rounds too, are computed in full again.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from training.activations import Floats
from training.encoder import Encoder
from training.quantize import EMBEDDINGS, round_rows
from training.rounded import rounded_layers
from training.trainer import FROZEN


def restore(folder: Path, base: Path) -> Encoder:
    """The encoder whose graph, as training.quantize writes it, is in a folder.

    Raises ValueError where the graph was made of another base, or otherwise. It has to be a trained
    one: of tensors that are equal the exporter keeps only the first.
    """
    encoder = Encoder.from_pretrained(base)
    state = encoder.state_dict()
    graph = onnx.load(folder / "model.onnx").graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    depth = len({name.split(".")[1] for name in constants if name.startswith("layers.")})
    if depth != encoder.config.layers:
        raise ValueError(f"{folder} was not made of {base}: it has {depth} layers.")
    for name in filter(lambda name: name.startswith(FROZEN), state):
        kept = round_rows(state[name].numpy())[0] if name in EMBEDDINGS else state[name].numpy()
        if not np.array_equal(constants.get(f"encoder.{name}"), kept):
            raise ValueError(f"{folder} was not made of {base}: its {name} is another.")
    stored = constants
    for layer in rounded_layers(graph):
        stored |= layer.values
    for name in state:
        if not name.startswith(FROZEN):
            state[name] = torch.tensor(_trained(name, stored, encoder.layers[0].head_width))
    encoder.load_state_dict(state)
    return encoder


def _trained(name: str, stored: dict[str, Floats], head_width: int) -> Floats:
    """A tensor of the encoder, from those of the graph; export.py says how they differ."""
    if ".qkv." not in name:
        return stored[name if name.startswith("layers.") else f"encoder.{name}"]
    query, key, value = (stored[name.replace("qkv", part)] for part in ("query", "key", "value"))
    return np.concatenate([query * np.float32(head_width**0.5), key, value])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.restore", description=__doc__.split("\n")[0]
    )
    parser.add_argument("model", type=Path, help="folder of an INT8 model of training.quantize")
    parser.add_argument("--base", type=Path, required=True, help="transformers folder it began as")
    parser.add_argument("--out", type=Path, required=True, help="the transformers folder to write")
    options = parser.parse_args(arguments)
    restore(options.model, options.base).save_pretrained(options.out)
    shutil.copyfile(options.base / "tokenizer.json", options.out / "tokenizer.json")


if __name__ == "__main__":
    main()
