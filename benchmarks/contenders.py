"""Who is measured: this project and its peers, each a way to run one window of tokens.

A contender is made in a process of its own (benchmarks/worker.py). Peers are given token ids and
asked for logits, nothing more; Verbatim is asked through `Reader.answer`, tokenizing and ranking
included, wherever there is a text. Weights are random where only speed is compared: of the models
other than the bundled ones, no trained weights are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

THREADS = 2
LENGTH = 384


class Contender(Protocol):
    """Runs windows of token ids; `files` are what it needs on disk."""

    files: list[Path]

    def run(self, ids: list[int]) -> None: ...


@dataclass(frozen=True)
class Entry:
    """A contender's place in the tables. `f1` is in percent, on what `f1_from` says."""

    title: str
    make: Callable[[Path], Contender]
    f1: float | None = None
    f1_from: str = "random weights"


class Verbatim:
    """This project's reader on a model folder."""

    def __init__(self, folder: Path | None) -> None:
        from qa import Reader, catalog

        self.reader = Reader.load(folder or catalog.DEFAULT, threads=THREADS)
        self.files = [p for p in self.reader.card.folder.iterdir() if p.is_file()]

    def run(self, ids: list[int]) -> None:
        from qa.windows import Window

        array = np.array(ids, np.int64)
        self.reader.model.run(Window(0, len(ids) - 2, 1, array, np.zeros_like(array)))


class OpenVino:
    """OpenVINO on an IR: as its demo runs it (padded, one by one) or with a dynamic length."""

    def __init__(self, xml: Path, *, padded: bool, f32: bool) -> None:
        import openvino

        self.files = [xml, xml.with_suffix(".bin")]
        self._padded = padded
        core = openvino.Core()
        model = core.read_model(xml)
        if not padded:
            model.reshape({port: [1, -1] for port in model.inputs})
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": THREADS,
        }
        if f32:
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        self._compiled = core.compile_model(model, "CPU", settings)
        self._names = [port.any_name for port in model.inputs]

    def run(self, ids: list[int]) -> None:
        width = LENGTH if self._padded else len(ids)
        self._compiled(feed(ids, width, self._names))


class OnnxGraph:
    """ONNX Runtime on a graph of a fixed length."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        self.files = [path]
        self._session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        self._names = [value.name for value in self._session.get_inputs()]

    def run(self, ids: list[int]) -> None:
        self._session.run(None, feed(ids, LENGTH, self._names))


class Transformers:
    """A randomly initialized question answering model of transformers, in PyTorch."""

    def __init__(self, kind: str, settings: dict[str, int], *, int8: bool = False) -> None:
        import torch
        import transformers

        torch.set_num_threads(THREADS)
        config = getattr(transformers, f"{kind}Config")(**settings)
        model = getattr(transformers, f"{kind}ForQuestionAnswering")(config).eval()
        if int8:
            model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear})
        self._torch, self._model = torch, model
        self.files: list[Path] = []

    def run(self, ids: list[int]) -> None:
        with self._torch.inference_mode():
            self._model(self._torch.tensor([ids]))


def feed(ids: list[int], width: int, names: Sequence[str]) -> dict[str, np.ndarray]:
    n = len(ids)
    rows = (np.array(ids), np.ones(n, np.int64), np.zeros(n, np.int64), np.arange(width))
    return {
        name: np.pad(row, (0, width - len(row)))[None].astype(np.int64)
        for name, row in zip(names, rows, strict=False)
    }


_LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
}


def entries(folder: Path) -> dict[str, Entry]:
    """Return the contenders by name; `folder` holds what `benchmarks.peers` prepared."""
    xml = folder / "small" / "model.xml"
    card: dict[str, Any] = {
        "f1": 91.4,
        "f1_from": "its card, all of dev; measured with random weights",
    }
    found = {
        "verbatim": Entry(
            "**Verbatim**, bundled MiniLM-L6, INT8",
            lambda _: Verbatim(None),
            **_bundled_f1(),
        ),
        "verbatim-small": Entry(
            "**Verbatim**, bert-small INT8, converted", lambda f: Verbatim(f / "converted"), **card
        ),
        "openvino-demo": Entry(
            "OpenVINO, the same IR as its demo runs it: padded to 384 (bf16)",
            lambda _: OpenVino(xml, padded=True, f32=False),
            **card,
        ),
        "openvino-demo-f32": Entry(
            "OpenVINO, padded to 384, f32 hint",
            lambda _: OpenVino(xml, padded=True, f32=True),
            **card,
        ),
        "openvino-dynamic": Entry(
            "OpenVINO, the same IR at its best: dynamic length (bf16)",
            lambda _: OpenVino(xml, padded=False, f32=False),
            **card,
        ),
        "openvino-dynamic-f32": Entry(
            "OpenVINO, dynamic length, f32 hint",
            lambda _: OpenVino(xml, padded=False, f32=True),
            **card,
        ),
        "distilbert": Entry(
            "transformers, DistilBERT, PyTorch FP32",
            lambda _: Transformers("DistilBert", {}),
            86.9,
            "its card, all of dev; measured with random weights",
        ),
        "distilbert-int8": Entry(
            "transformers, DistilBERT, PyTorch dynamic INT8",
            lambda _: Transformers("DistilBert", {}, int8=True),
        ),
        "bert-large": Entry(
            "transformers, BERT-large, PyTorch FP32",
            lambda _: Transformers("Bert", _LARGE),
            93.2,
            "its card, all of dev; measured with random weights",
        ),
    }
    if (folder / "onnxifier.onnx").exists():
        found["onnxifier"] = Entry(
            "ONNX Runtime on onnxifier's graph of the same IR (padded)",
            lambda f: OnnxGraph(f / "onnxifier.onnx"),
            **card,
        )
    return found


def _bundled_f1() -> dict[str, Any]:
    from qa import catalog

    card = catalog.find(catalog.DEFAULT)
    return {"f1": card.f1, "f1_from": f"{card.measured_on}, measured"}
