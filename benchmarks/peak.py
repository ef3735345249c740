"""What share of this machine's integer products a model reaches, and where the other time goes.

    python -m benchmarks.peak [--model M] [--tokens 384] [--batch 1]

The peak is the fastest that ONNX Runtime multiplies a large uint8 matrix by a large int8 one here:
the same kernels, since another library's would not say what is left to gain. Times are the
profiler's, a median of the runs for each node, added up by kind of operation; a multiply-add counts
as two operations.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from benchmarks.contenders import feed
from qa import catalog, engines, processors

SIDE = 2048
RUNS = 21
INTEGER_PRODUCTS = ("QGemm", "MatMulIntegerToFloat", "MatMulInteger")
FLOAT_PRODUCTS = ("MatMul", "FusedMatMul", "Gemm")

# Makes a graph's inputs from their names.
Feeds = Callable[[list[str]], dict[str, np.ndarray]]


@dataclass
class Kind:
    """The operations of one kind in a window."""

    name: str
    milliseconds: float = 0.0
    operations: int = 0

    @property
    def rate(self) -> float:
        """Billions of operations a second."""
        return self.operations / self.milliseconds / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=catalog.DEFAULT, metavar="M", help="name or folder")
    parser.add_argument("--tokens", type=int, default=384)
    parser.add_argument("--batch", type=int, default=1, help="windows at once")
    options = parser.parse_args()
    card = catalog.find(options.model)
    with tempfile.TemporaryDirectory() as name:
        ids = [*range(1000, 1000 + options.tokens)]

        def feeds(names: list[str]) -> dict[str, np.ndarray]:
            inputs = feed(ids, len(ids), names)
            return {name: each.repeat(options.batch, axis=0) for name, each in inputs.items()}

        settings = engines.options(fits_16_bits=card.fits_16_bits)
        kinds = profile(card.folder / "model.onnx", settings, Path(name) / "model", feeds)
        top = peak(Path(name))
    for kind in kinds:  # a window's, from here on
        kind.milliseconds /= options.batch
        kind.operations //= options.batch
    total = sum(kind.milliseconds for kind in kinds)
    integer = sum(kind.operations for kind in kinds if kind.name in INTEGER_PRODUCTS)
    print(f"{options.model}, windows of {options.tokens} tokens, {options.batch} at once:")
    print(f"{total:.1f} ms each on {processors.usable()} processors. Integer products peak at")
    share = integer / total / 1e6 / top
    print(f"{top:,.0f} billion operations/s, of which the whole window reaches {share:.0%}.\n")
    print("| operation | ms | share of the time | billion operations/s | of the peak |")
    print("|---|---|---|---|---|")
    for kind in kinds:
        rate = f"{kind.rate:,.0f}" if kind.operations else ""
        of_peak = f"{kind.rate / top:.0%}" if kind.name in INTEGER_PRODUCTS else ""
        cells = [kind.name, f"{kind.milliseconds:.2f}", f"{kind.milliseconds / total:.0%}"]
        print(f"| {' | '.join([*cells, rate, of_peak])} |")


def peak(folder: Path) -> float:
    """Return billions of operations a second of a product of two matrices of SIDE x SIDE."""
    weights = np.random.default_rng(0).integers(-64, 64, (SIDE, SIDE), np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "peak",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [SIDE, SIDE])],
        [numpy_helper.from_array(weights, "w")],
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    (folder / "peak.onnx").write_bytes(model.SerializeToString())
    ones = np.ones((SIDE, SIDE), np.uint8)
    (kind,) = profile(
        folder / "peak.onnx", engines.options(), folder / "peak", lambda _: {"x": ones}
    )
    return kind.rate


def profile(path: Path, options: ort.SessionOptions, prefix: Path, feeds: Feeds) -> list[Kind]:
    """Run a graph RUNS times as the reader does; return its kinds of operations, the longest
    first."""
    options.enable_profiling = True
    options.profile_file_prefix = str(prefix)
    session = ort.InferenceSession(path, options)
    inputs = feeds([value.name for value in session.get_inputs()])
    for _ in range(RUNS):
        session.run(None, inputs)
    events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    nodes = defaultdict(list)
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            nodes[event["name"]].append(event)
    kinds: dict[str, Kind] = {}
    for runs in nodes.values():
        told = runs[0]["args"]
        kind = kinds.setdefault(told["op_name"], Kind(told["op_name"]))
        kind.milliseconds += statistics.median(run["dur"] for run in runs) / 1e3
        kind.operations += _operations(told)
    return sorted(kinds.values(), key=lambda kind: -kind.milliseconds)


def _operations(told: dict[str, Any]) -> int:
    """Return the operations of a product of matrices, 0 for anything else."""
    if told["op_name"] not in (*INTEGER_PRODUCTS, *FLOAT_PRODUCTS):
        return 0
    (left,), (out,) = (
        tuple(shape.values())
        for shape in (told["input_type_shape"][0], told["output_type_shape"][0])
    )
    return 2 * int(np.prod(out)) * int(left[-1])


if __name__ == "__main__":
    main()
