"""model.json: a model's card as data, written from what is measured and what is told.

    python -m training.card MODEL REPORT.json --precision int8 \
        --dataset "SQuAD v1.1 dev, open half" \
        --command "python -m qa evaluate dev.json --model MODEL --json"

adds the figures of an evaluation (what `python -m qa evaluate --json` prints) to a card; one of the
same data set, precision and protocol is replaced. What can be computed from the folder is never
typed in.
"""

import argparse
import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx

from training import parts

CARD = "model.json"
TOOLS = ("onnx", "onnxruntime", "onnxscript", "torch")


def write(folder: Path, about: Path, fp32: onnx.ModelProto, recipe: dict[str, Any]) -> None:
    """Write the card of a quantized model. `about` holds what is told, `fp32` is the graph before
    quantization, `recipe` says how it was quantized."""
    graph = onnx.load(folder / "model.onnx", load_external_data=False).graph
    card = json.loads(about.read_text(encoding="utf-8")) | {
        "inputs": {value.name: value.name for value in graph.input},
        "outputs": dict(zip(("start", "end"), (v.name for v in graph.output), strict=True)),
        "parameters": parameters(fp32),
        "gops_384": round(gops(fp32, 384), 2),
        "metrics": [],
        "quantization": recipe,
        "files": {
            path.name: _fingerprint(path)
            for path in (*parts.files(folder), folder / "tokenizer.json")
        },
        "made_with": {tool: version(tool) for tool in TOOLS},
    }
    _save(folder, card)


def add_metric(folder: Path, metric: dict[str, Any]) -> None:
    """Add the figures of an evaluation to a card."""
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    key = ("dataset", "precision", "protocol")
    others = [old for old in card["metrics"] if [old[k] for k in key] != [metric[k] for k in key]]
    card["metrics"] = [*others, metric]
    _save(folder, card)


def figures(report: dict[str, Any]) -> dict[str, Any]:
    """Return what a card keeps of an evaluation's report, rounded. Where questions without an
    answer are among them, accuracy is that of the others."""
    accuracy = report.get("has_answer", report)
    no_answer = report.get("no_answer", {})
    kept = {
        "exact_match": (accuracy["exact_match"], 2),
        "f1": (accuracy["f1"], 2),
        "right_paragraph": (report.get("right_paragraph"), 2),
        "expected_calibration_error": (report.get("expected_calibration_error"), 4),
        "area_under_roc": (no_answer.get("area_under_roc"), 4),
        "no_answer_accuracy": (no_answer.get("accuracy"), 2),
    }
    rounded = {name: round(v, digits) for name, (v, digits) in kept.items() if v is not None}
    bins = [
        {name: round(value, 4) for name, value in each.items()}
        for each in report.get("reliability", ())
    ]
    return {"questions": report["total"], **rounded} | ({"reliability": bins} if bins else {})


def parameters(model: onnx.ModelProto) -> int:
    """Numbers in the trained tensors of an FP32 graph."""
    return sum(_elements(tensor) for tensor in _trained(model))


def gops(model: onnx.ModelProto, tokens: int) -> float:
    """10^9 operations for one sequence of so many tokens, a multiply-add being two.

    Every dense layer of the FP32 graph once a token, and in every layer (one Softmax each) the two
    products of attention over all pairs of tokens.
    """
    dense = {node.input[1] for node in model.graph.node if node.op_type == "Gemm"}
    per_token = sum(_elements(tensor) for tensor in _trained(model) if tensor.name in dense)
    layers = sum(node.op_type == "Softmax" for node in model.graph.node)
    width = next(t.dims[1] for t in _trained(model) if t.name.endswith("words.weight"))
    return 2 * (tokens * per_token + layers * 2 * tokens * tokens * width) / 1e9


def _trained(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    return [t for t in model.graph.initializer if t.name.endswith((".weight", ".bias"))]


def _elements(tensor: onnx.TensorProto) -> int:
    count = 1
    for size in tensor.dims:
        count *= size
    return count


def _fingerprint(path: Path) -> dict[str, Any]:
    return {
        "size": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def _save(folder: Path, card: dict[str, Any]) -> None:
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    (folder / CARD).write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.card", description=__doc__.split("\n")[0]
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("report", type=Path, help="what `python -m qa evaluate --json` printed")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--precision", required=True, choices=("int8", "fp32"))
    parser.add_argument("--command", required=True, help="what was typed")
    options = parser.parse_args()
    report = json.loads(options.report.read_text(encoding="utf-8"))
    told = {
        "dataset": options.dataset,
        "precision": options.precision,
        "protocol": report["repeat"]["protocol"],
        "command": options.command,
    }
    metric = {**told, **figures(report)}
    add_metric(options.folder, metric)


if __name__ == "__main__":
    main()
