"""An exported FP32 model folder -> an INT8 one.

    python -m training.quantize FP32 OUT --calibrate train-v1.1.json --about CARD.json

Dense layers become products of uint8 activations and int8 weights, embeddings int8 rows; the head,
layer norms, Gelu, softmax and the products of attention stay FP32. Scales of activations are fixed
by calibration, so that an answer never depends on what else is in the batch.

Two things make this as good as it is:

* **Outliers.** A few components of what enters a dense layer are ten times larger than the others,
  mostly at [CLS], which every later layer looks at: cut off they ruin the answers, and kept they
  leave the rest few of the 256 steps. They are divided by what makes them ordinary before rounding,
  and their weights multiplied by it (Xiao et al. 2022, SmoothQuant, for these components only).
* **Weights in pairs.** Processors without VNNI or AMX add two neighbouring products in 16 bits and
  saturate (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html). Scales
  are such that no two neighbouring weights of a row can: integer products are the same
  everywhere, and more than seven bits are left of eight.

`--recipe` quantizes in the other ways that were compared; `--compare` measures against FP32.
"""

import argparse
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from qa.catalog import Frame
from qa.windows import Windower
from training import card, parts
from training.activations import (
    Activation,
    Floats,
    calibrate,
    divergence,
    session_options,
    windows,
)
from training.rounded import Constants, shared_constants

EMBEDDINGS = ("words.weight", "positions.weight", "types.weight")
# Two numbers per token, and all the answer: not worth rounding.
HEAD = "span.weight"
# The largest sum of two int8 weights that 255 times it fits in 16 bits: 32767 // 255.
PAIR_LIMIT = 128
CALIBRATION_WINDOWS = 256
COMPARED_WINDOWS = 600


@dataclass(frozen=True)
class Recipe:
    """How to quantize. `weights`: "pairs" as described above, "full" -127..127, "half" -63..63;
    `outliers`: components larger than so many times the median one are scaled down to it;
    `percentile`: of the activations' range that is kept; static only."""

    method: Literal["static", "dynamic"] = "static"
    per_channel: bool = True
    weights: Literal["pairs", "full", "half"] = "pairs"
    outliers: float | None = 3.0
    percentile: float = 100.0


RECIPES = {
    "static": Recipe(),
    "static-no-outliers": Recipe(outliers=None),
    "static-percentile": Recipe(outliers=None, percentile=99.99),
    "static-full": Recipe(weights="full"),
    "static-half": Recipe(weights="half"),
    "static-per-tensor": Recipe(per_channel=False, weights="full", outliers=None),
    "dynamic": Recipe(method="dynamic", weights="full"),
    "dynamic-half": Recipe(method="dynamic", weights="half"),
    "dynamic-per-tensor": Recipe(method="dynamic", weights="full", per_channel=False),
}


# --------------------------------------------------------------------------------------------------
# Rounding


def dense_layers(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The Gemm nodes that are quantized."""
    return [
        node
        for node in model.graph.node
        if node.op_type == "Gemm" and not node.input[1].endswith(HEAD)
    ]


def round_weights(weights: Floats, recipe: Recipe) -> tuple[NDArray[np.int8], Floats]:
    """[out, in] -> int8 of the same shape and the scale of each output."""
    size = np.abs(weights).max(1)
    scales = size / (63 if recipe.weights == "half" else 127)
    if recipe.weights == "pairs":
        pairs = weights.reshape(len(weights), -1, 2)
        sums = np.maximum(np.maximum(pairs, 0).sum(2), np.maximum(-pairs, 0).sum(2)).max(1)
        # One less than the limit, because each of the two may be rounded up by a half.
        scales = np.maximum(scales, sums / (PAIR_LIMIT - 1))
    if not recipe.per_channel:
        scales = np.full_like(scales, scales.max())
    scales = scales.astype(np.float32)
    return np.round(weights / scales[:, None]).astype(np.int8), scales


def round_rows(table: Floats) -> tuple[NDArray[np.int8], Floats]:
    """[rows, width] -> int8 of the same shape and the scale of each row, [rows, 1]."""
    scales = np.maximum(np.abs(table).max(1, keepdims=True) / 127, 1e-12).astype(np.float32)
    return np.round(table / scales).astype(np.int8), scales


# --------------------------------------------------------------------------------------------------
# The graph


class Rewriter:
    """Builds the nodes of the quantized graph in order, and its constants; those in `kept` stay as
    they are there."""

    def __init__(self, model: onnx.ModelProto, kept: Constants) -> None:
        self.model = model
        self.kept = kept
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.nodes: list[onnx.NodeProto] = []

    def constant(self, name: str, value: NDArray[np.generic] | np.generic) -> str:
        value = self.kept.get(name, value)
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def take(self, name: str) -> Floats:
        """A constant's value; the constant is dropped unless put back."""
        return numpy_helper.to_array(self.constants.pop(name))

    def add(self, op: str, inputs: list[str], output: str, **attributes: int) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def finish(self) -> onnx.ModelProto:
        graph = self.model.graph
        del graph.node[:], graph.initializer[:]
        graph.node.extend(self.nodes)
        used = {name for node in self.nodes for name in node.input}
        graph.initializer.extend(t for name, t in self.constants.items() if name in used)
        onnx.checker.check_model(self.model, full_check=True)
        return self.model


def quantize(
    model: onnx.ModelProto,
    activations: dict[str, Activation],
    recipe: Recipe,
    kept: Constants = MappingProxyType({}),
) -> onnx.ModelProto:
    """Quantize statically, but for layers that are kept as another graph has them. `model` is
    changed."""
    dense = {node.name for node in dense_layers(model)}
    graph = Rewriter(model, kept)
    grids: dict[str, tuple[str, Floats, np.float32]] = {}
    for node in list(model.graph.node):
        if node.name in dense:
            source = node.input[0]
            if source not in grids:
                grids[source] = _round_activation(graph, source, activations[source], recipe)
            _rewrite_dense(graph, node, *grids[source], recipe)
        elif node.op_type == "Gather" and node.input[0].endswith(EMBEDDINGS):
            _rewrite_embedding(graph, node)
        else:
            graph.nodes.append(node)
    return graph.finish()


def _round_activation(
    graph: Rewriter, source: str, seen: Activation, recipe: Recipe
) -> tuple[str, Floats, np.float32]:
    """Emit the rounding of a tensor, once for all dense layers it enters; return its name, what its
    components were divided by, and its scale."""
    factors, scale, zero = _grid(graph.kept, source, seen, recipe)
    rounded = source
    if factors.max() > 1:
        inverse = graph.constant(f"{source}.inverse_factors", 1 / factors)
        rounded = graph.add("Mul", [source, inverse], f"{source}.divided")
    grid = [graph.constant(f"{source}.scale", scale), graph.constant(f"{source}.zero", zero)]
    graph.add("QuantizeLinear", [rounded, *grid], f"{source}.rounded")
    return source, factors, scale


def _grid(
    kept: Constants, source: str, seen: Activation, recipe: Recipe
) -> tuple[Floats, np.float32, np.uint8]:
    """What a tensor's components are divided by, and the scale and zero point that follow."""
    ones = np.ones_like(seen.high)
    if f"{source}.scale" in kept:
        factors = 1 / kept.get(f"{source}.inverse_factors", ones)
        return factors, kept[f"{source}.scale"], kept[f"{source}.zero"]
    factors = ones if recipe.outliers is None else seen.factors(recipe.outliers)
    return factors, *seen.grid(factors, recipe.percentile)


def _rewrite_dense(
    graph: Rewriter,
    node: onnx.NodeProto,
    source: str,
    factors: Floats,
    scale: np.float32,
    recipe: Recipe,
) -> None:
    """A Gemm between DequantizeLinear nodes: what ONNX Runtime turns into one QGemm, bias included.
    Each Gemm has nodes of its own, as shared ones are not fused."""
    _, weight, *biases = node.input  # the exporter leaves out a bias of zeros
    rounded, scales = round_weights(graph.take(weight) * factors, recipe)
    grid = [f"{source}.scale", f"{source}.zero"]
    # The pattern wants the weights' zero points written out; those of the bias may be left out.
    weight_grid = [
        graph.constant(f"{weight}.scale", scales),
        graph.constant(f"{weight}.zero", np.zeros(scales.shape, np.int8)),
    ]
    inputs = [
        graph.add("DequantizeLinear", [f"{source}.rounded", *grid], f"{node.name}.input"),
        graph.add(
            "DequantizeLinear",
            [graph.constant(weight, rounded), *weight_grid],
            f"{node.name}.weight",
            axis=0,
        ),
    ]
    for bias in biases:
        bias_scales = scales * scale
        codes = np.round(graph.take(bias) / bias_scales).astype(np.int32)
        constants = [graph.constant(bias, codes), graph.constant(f"{bias}.scale", bias_scales)]
        inputs.append(graph.add("DequantizeLinear", constants, f"{node.name}.bias", axis=0))
    graph.add("Gemm", inputs, node.output[0], transB=1)


def _rewrite_embedding(graph: Rewriter, node: onnx.NodeProto) -> None:
    """Rows are looked up as int8 and only then scaled: a DequantizeLinear of the table would be
    folded back into a float table at load."""
    table, index = node.input
    rounded, scales = round_rows(graph.take(table))
    output = node.output[0]
    row = graph.add("Gather", [graph.constant(table, rounded), index], f"{output}.rounded")
    row_scale = graph.constant(f"{table}.scale", scales)
    scale = graph.add("Gather", [row_scale, index], f"{output}.scale")
    cast = graph.add("Cast", [row], f"{output}.cast", to=TensorProto.FLOAT)
    graph.add("Mul", [cast, scale], output)


# --------------------------------------------------------------------------------------------------
# What came of it


def check_kernels(path: Path) -> None:
    """Raise RuntimeError unless every quantized layer runs as one product of uint8 and int8.

    Products of uint8 by uint8 are five to ten times slower on x86, and float ones are what a layer
    falls back to where the pattern is not recognized.
    """
    options = session_options()
    optimized = path.with_suffix(".optimized.onnx")
    options.optimized_model_filepath = str(optimized)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    try:
        ort.InferenceSession(path, options)
        model = onnx.load(optimized)
    finally:
        optimized.unlink(missing_ok=True)
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type == "QGemm"]
    floating = [node.name for node in model.graph.node if node.op_type == "Gemm"]
    if len(floating) != 1 or not products:
        raise RuntimeError(f"{len(floating)} dense layers run in FP32 and {len(products)} in INT8.")
    if any(types[node.input[3]] != TensorProto.INT8 for node in products):
        raise RuntimeError("Some products would run as uint8 by uint8.")


# --------------------------------------------------------------------------------------------------
# The command


def build(
    fp32: Path,
    out: Path,
    recipe: Recipe,
    files: list[Path],
    windower: Windower,
    limit: int = parts.LIMIT,
    keep: Path | None = None,
) -> None:
    """Write the quantized graph, in files below `limit` bytes, and tokenizer.json; layers that the
    model in `keep` has too stay as they are there."""
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(fp32 / "tokenizer.json", out / "tokenizer.json")
    if recipe.method == "dynamic":
        parts.save(_quantized_dynamically(fp32, recipe), out, limit)
        return
    model = onnx.load(fp32 / "model.onnx")
    names = list(dict.fromkeys(node.input[0] for node in dense_layers(model)))
    activations = calibrate(model, names, windows(files, windower, CALIBRATION_WINDOWS))
    kept = {} if keep is None else shared_constants(keep / parts.GRAPH, model)
    parts.save(quantize(model, activations, recipe, kept), out, limit)
    check_kernels(out / "model.onnx")


def _quantized_dynamically(fp32: Path, recipe: Recipe) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder:
        quantize_dynamic(
            fp32 / "model.onnx",
            Path(folder) / "model.onnx",
            op_types_to_quantize=["MatMul", "Gather"],
            per_channel=recipe.per_channel,
            reduce_range=recipe.weights == "half",
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
        return onnx.load(Path(folder) / "model.onnx")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.quantize", description=__doc__.split("\n")[0]
    )
    parser.add_argument("fp32", type=Path, help="what training.export wrote")
    parser.add_argument("out", type=Path)
    parser.add_argument("--calibrate", type=Path, nargs="+", required=True, metavar="SQUAD.json")
    parser.add_argument(
        "--about", type=Path, required=True, help="what the card says (training/cards)"
    )
    parser.add_argument(
        "--keep", type=Path, metavar="MODEL", help="INT8 model whose layers stay as they are there"
    )
    parser.add_argument("--recipe", choices=RECIPES, default="static")
    parser.add_argument("--compare", type=Path, nargs="+", default=[], metavar="SQUAD.json")
    options = parser.parse_args()
    about = json.loads(options.about.read_text(encoding="utf-8"))
    special = about["special_tokens"]
    frame = Frame(**special, max_sequence=about["max_sequence"], max_question=about["max_question"])
    windower = Windower(options.fp32 / "tokenizer.json", frame, longest_answer=30)
    recipe = RECIPES[options.recipe]
    build(options.fp32, options.out, recipe, options.calibrate, windower, keep=options.keep)
    card.write(options.out, options.about, onnx.load(options.fp32 / "model.onnx"), asdict(recipe))
    size = sum(path.stat().st_size for path in options.out.iterdir())
    print(f"{options.out}: {options.recipe}, {size:,} bytes")
    if options.compare:
        shown = windows(options.compare, windower, COMPARED_WINDOWS)
        paths = (options.fp32 / "model.onnx", options.out / "model.onnx")
        mean, error = divergence(*paths, shown)
        print(f"divergence from FP32: {mean:.4f} ± {error:.4f} nats a window")


if __name__ == "__main__":
    main()
