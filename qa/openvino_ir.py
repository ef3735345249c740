"""OpenVINO IR -> ONNX: the one function `convert`.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tokenizers import BertWordPieceTokenizer

from qa.ir_graph import Graph, IRError, Layer, read, dimensions
from qa.ir_patterns import Patterns
from qa.ir_shapes import Sizes
from qa.onnx_emitter import Emitter
from qa.onnx_file import OnnxFile

SELF_CONTAINED_BELOW = 95_000_000


@dataclass(frozen=True)
class Conversion:
    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    seconds: float


def convert(xml: Path, out_dir: Path) -> Conversion:
    start = time.perf_counter()
    graph = read(xml)
    weights = xml.with_suffix(".bin").stat().st_size
    inputs = {n: _input_name(l) for n, l in graph.layers.items() if l.type == "Parameter"}
    outputs = {n: _output_name(graph, l) for n, l in graph.layers.items() if l.type == "Result"}
    sizes = Sizes()
    for l in graph.layers.values():
        if l.type == "Parameter":
            shape = l.outputs[0].shape
            if len(shape) == 2: sizes = Sizes(*(a if a > 0 else d for a, d in zip(shape, (7919, 7907))))
    out_dir.mkdir(parents=True, exist_ok=True)
    file = OnnxFile(out_dir, external=weights > SELF_CONTAINED_BELOW)
    Emitter(Patterns(graph), file, sizes, 2 * weights + (256 << 20)).emit(inputs, outputs)
    file.save()
    return Conversion(out_dir, tuple(inputs.values()), tuple(outputs.values()), time.perf_counter() - start)


def _input_name(layer: Layer) -> str:
    return next(iter(layer.outputs[0].names), layer.name)


def _output_name(graph: Graph, layer: Layer) -> str:
    number, index = layer.inputs[0]
    source = graph.layers[number]
    return next(iter(source.outputs[index].names), source.name)
