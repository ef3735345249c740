"""A published model of 0.2 MB: an OpenVINO IR, its vocabulary and its catalog entry, made here.

It answers every question with "Mara Quill", by its embeddings alone; words late in a window count
less, so that wrong position_ids change what it answers.
"""

import hashlib
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from qa.published import Published, RemoteFile

NAME = "tiny-squad-int8-0002"
ALIAS = "tiny-squad-int8-onnx-0002"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = [*SPECIAL, "the", "lamp", "was", "lit", "by", "mara", "quill", ".", "?", "who"]
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
WIDTH, LENGTH = 512, 384

Array = NDArray[Any]
Value = tuple[int, int, str, tuple[int, ...]]  # layer, port, precision, shape
_ELEMENT_TYPES = {"float16": "f16", "float32": "f32", "int8": "i8", "int64": "i64"}


def make(folder: Path, url: str) -> Published:
    """Write both precisions below `folder` as a publisher lays them out; return their entry."""
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    published = {}
    for precision, scale in (("FP16-INT8", np.float16), ("FP32-INT8", np.float32)):
        xml, weights = files(scale)
        (folder / precision).mkdir()
        (folder / precision / f"{NAME}.xml").write_text(xml, encoding="utf-8")
        (folder / precision / f"{NAME}.bin").write_bytes(weights)
        paths = (f"{precision}/{NAME}.xml", "vocab.txt", f"{precision}/{NAME}.bin")
        published[precision] = tuple(remote(folder, path) for path in paths)
    return Published(
        name=NAME,
        aliases=(ALIAS,),
        url=url,
        title="Tiny",
        description="Finds Mara Quill.",
        base_model="none",
        licence="Apache-2.0",
        parameters=200_000,
        gops_384=0.1,
        exact_match=84.4,
        f1=91.4,
        inputs=INPUTS,
        files=published,
    )


def remote(folder: Path, path: str) -> RemoteFile:
    data = (folder / path).read_bytes()
    return RemoteFile(path, len(data), hashlib.sha384(data).hexdigest())


def files(scale: type[np.floating[Any]]) -> tuple[str, bytes]:
    """Return the .xml and the .bin, int8 with scales of this type."""
    words, positions, types = (
        np.zeros((rows, WIDTH), np.int8) for rows in (len(VOCABULARY), LENGTH, 2)
    )
    words[VOCABULARY.index("mara"), 0] = words[VOCABULARY.index("quill"), 1] = 100
    positions[LENGTH // 8 :, :2] = -50
    types[1, 2] = 1
    head = np.zeros((2, WIDTH), np.int8)
    head[0, 0] = head[1, 1] = 100

    ir = _Ir()
    ids = {name: ir.layer("Parameter", [], [("I64", (1, LENGTH))], name)[0] for name in INPUTS}
    total = None
    for role, table in (
        ("input_ids", words),
        ("token_type_ids", types),
        ("position_ids", positions),
    ):
        weight = ir.weight(table, scale(0.01))
        axis = ir.constant(np.array(0, np.int64))
        rows = ir.layer("Gather", [weight, ids[role], axis], [("FP32", (1, LENGTH, WIDTH))])[0]
        total = rows if total is None else ir.layer("Add", [total, rows], [rows[2:]])[0]
    assert total is not None
    mask = ir.layer("Convert", [ids["attention_mask"]], [("FP32", (1, LENGTH))])[0]
    last = ir.constant(np.array([2], np.int64))
    mask = ir.layer("Unsqueeze", [mask, last], [("FP32", (1, LENGTH, 1))])[0]
    hidden = ir.layer("Multiply", [total, mask], [total[2:]])[0]
    logits = ir.layer(
        "MatMul",
        [hidden, ir.weight(head, scale(0.1))],
        [("FP32", (1, LENGTH, 2))],
        transpose_b="true",
    )[0]
    cut = [ir.constant(np.array(numbers, np.int64)) for numbers in (2, [1, 1])]
    halves = ir.layer("VariadicSplit", [logits, *cut], [("FP32", (1, LENGTH, 1))] * 2)
    for half, name in zip(halves, ("output_s", "output_e"), strict=True):
        axis = ir.constant(np.array([2], np.int64))
        flat = ir.layer("Squeeze", [half, axis], [("FP32", (1, LENGTH))], name)
        ir.layer("Result", flat, [])
    return ir.xml(), bytes(ir.blob)


class _Ir:
    """Layers, edges and constants, as they are added."""

    def __init__(self) -> None:
        self.blob = bytearray()
        self._layers: list[str] = []
        self._edges: list[str] = []

    def constant(self, array: Array) -> Value:
        offset = len(self.blob)
        self.blob += array.tobytes()
        kind = _ELEMENT_TYPES[array.dtype.name]
        precision = kind.upper().replace("F", "FP")
        shape = ",".join(map(str, array.shape))
        return self.layer(
            "Const",
            [],
            [(precision, array.shape)],
            element_type=kind,
            shape=shape,
            offset=offset,
            size=array.nbytes,
        )[0]

    def weight(self, codes: Array, scale: np.floating[Any]) -> Value:
        factor = self.constant(np.asarray(scale).reshape(1, 1))
        precision = factor[2]
        number = self.layer(
            "Convert",
            [self.constant(codes)],
            [(precision, codes.shape)],
            destination_type=precision.lower().replace("fp", "f"),
        )
        scaled = self.layer("Multiply", [*number, factor], [(precision, codes.shape)])
        return self.layer("Convert", scaled, [("FP32", codes.shape)], destination_type="f32")[0]

    def layer(
        self,
        kind: str,
        inputs: list[Value],
        outputs: list[tuple[str, tuple[int, ...]]],
        name: str = "",
        **data: object,
    ) -> list[Value]:
        number = len(self._layers)
        if kind == "Parameter":
            data = {"shape": ",".join(map(str, outputs[0][1])), "element_type": "i64"}
        if kind == "Convert":
            data.setdefault("destination_type", "f32")
        given = "".join(f" {key}={quoteattr(str(value))}" for key, value in data.items())
        ports = [_port(port, *value[2:]) for port, value in enumerate(inputs)]
        made = [_port(port, *output, name) for port, output in enumerate(outputs, len(inputs))]
        self._layers.append(
            f'<layer id="{number}" name="{name or f"{kind}_{number}"}" type="{kind}" '
            f'version="opset1"><data{given}/><input>{"".join(ports)}</input>'
            f"<output>{''.join(made)}</output></layer>"
        )
        for port, (source, output, *_) in enumerate(inputs):
            self._edges.append(
                f'<edge from-layer="{source}" from-port="{output}" '
                f'to-layer="{number}" to-port="{port}"/>'
            )
        return [(number, port, *output) for port, output in enumerate(outputs, len(inputs))]

    def xml(self) -> str:
        layers, edges = "\n".join(self._layers), "\n".join(self._edges)
        return (
            f'<?xml version="1.0"?>\n<net name="tiny" version="11">\n<layers>\n{layers}\n</layers>'
            f"\n<edges>\n{edges}\n</edges>\n</net>\n"
        )


def _port(port: int, precision: str, shape: tuple[int, ...], name: str = "") -> str:
    names = f' names="{name}"' if name else ""
    dims = "".join(f"<dim>{size}</dim>" for size in shape)
    return f'<port id="{port}" precision="{precision}"{names}>{dims}</port>'
