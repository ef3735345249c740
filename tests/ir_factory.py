"""OpenVINO IRs of the BERT family, written as their exporters write them, with random weights.

`small` repeats the structure of bert-small-uncased-whole-word-masking-squad-int8-0002 for any
number of layers; the options of `bert` vary it in the ways in which other exporters and releases
do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
PRECISION = {
    "f32": "FP32",
    "f16": "FP16",
    "i64": "I64",
    "i32": "I32",
    "i8": "I8",
    "u8": "U8",
    "u64": "U64",
}
DTYPE = {
    "f32": "<f4",
    "f16": "<f2",
    "i64": "<i8",
    "i32": "<i4",
    "i8": "i1",
    "u8": "u1",
    "u64": "<u8",
}


@dataclass(frozen=True)
class Out:
    """One output of a layer that has been written."""

    layer: int
    port: int
    shape: tuple[int, ...]
    dtype: str = "f32"


@dataclass
class Writer:
    """Collects layers, edges and constants; `save` writes the .xml and the .bin."""

    version: int = 11
    layers: ElementTree.Element = field(default_factory=lambda: ElementTree.Element("layers"))
    edges: ElementTree.Element = field(default_factory=lambda: ElementTree.Element("edges"))
    blob: bytearray = field(default_factory=bytearray)

    def layer(
        self,
        kind: str,
        name: str,
        inputs: list[Out],
        /,
        *outputs: tuple[tuple[int, ...], str],
        **data: Any,
    ) -> list[Out]:
        number = len(self.layers)
        element = ElementTree.SubElement(
            self.layers,
            "layer",
            id=str(number),
            name=name,
            type=kind,
            version=data.pop("opset", "opset1"),
        )
        if data:
            ElementTree.SubElement(
                element, "data", {key: str(value) for key, value in data.items()}
            )
        if inputs:
            ports = ElementTree.SubElement(element, "input")
            for port, out in enumerate(inputs):
                self._port(ports, port, out.shape, PRECISION[out.dtype])
                edge = {
                    "from-layer": str(out.layer),
                    "from-port": str(out.port),
                    "to-layer": str(number),
                    "to-port": str(port),
                }
                ElementTree.SubElement(self.edges, "edge", edge)
        result = []
        if outputs:
            ports = ElementTree.SubElement(element, "output")
            for port, (shape, dtype) in enumerate(outputs, start=len(inputs)):
                names = {"names": name if len(outputs) == 1 else f"{name}.{port - len(inputs)}"}
                self._port(
                    ports, port, shape, PRECISION[dtype], names if self.version == 11 else {}
                )
                result.append(Out(number, port, shape, dtype))
        return result

    def one(
        self,
        kind: str,
        name: str,
        inputs: list[Out],
        shape: tuple[int, ...],
        dtype: str = "f32",
        /,
        **data: Any,
    ) -> Out:
        return self.layer(kind, name, inputs, (shape, dtype), **data)[0]

    def constant(self, name: str, array: Any, dtype: str) -> Out:
        array = np.asarray(array).astype(DTYPE[dtype])
        data = {
            "element_type": dtype,
            "shape": ", ".join(map(str, array.shape)),
            "offset": len(self.blob),
            "size": array.nbytes,
        }
        self.blob += array.tobytes()
        return self.one("Const", name, [], array.shape, dtype, **data)

    def save(self, folder: Path, name: str = "model") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        net = ElementTree.Element("net", name=name, version=str(self.version))
        net.extend((self.layers, self.edges))
        path = folder / f"{name}.xml"
        ElementTree.ElementTree(net).write(path, xml_declaration=True)
        path.with_suffix(".bin").write_bytes(self.blob)
        return path

    @staticmethod
    def _port(
        parent: ElementTree.Element,
        number: int,
        shape: tuple[int, ...],
        precision: str,
        names: dict[str, str] | None = None,
    ) -> None:
        port = ElementTree.SubElement(
            parent, "port", {"id": str(number), "precision": precision, **(names or {})}
        )
        for size in shape:
            ElementTree.SubElement(port, "dim").text = str(size)


@dataclass(frozen=True)
class Form:
    """What varies between exporters. `drop` names one scale, bias or FakeQuantize to leave out."""

    layers: int = 2
    width: int = 64
    inner: tuple[int, ...] = (
        64,
        64,
        64,
    )  # of the products between the two norms of a layer, the last apart
    heads: int = 4
    vocabulary: int = 100
    positions: int = 128
    sequence: int = 48
    version: int = 11
    floats: str = "f16"
    ids: str = "i64"
    embeddings: str = "i8"  # or f16, f32
    norm: str = "MVN-6"  # or MVN-1, decomposed
    gelu: str = "Gelu"  # or Erf
    softmax: str = "flat"  # or plain
    per_channel: bool = False
    zero_points: bool = False
    weights: str = "i8"  # u8 with zero points of 128 and about, or FakeQuantize of floats
    levels: int = 256
    signed: bool = False
    inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
    outputs: tuple[str, ...] = ("output_s", "output_e")
    drop: str = ""
    seed: int = 0


def bert(folder: Path, form: Form, weights: Mapping[str, Array] | None = None) -> Path:
    """Write the IR of a BERT for question answering; returns the .xml.

    With `weights` it is a float network of these, quantized nowhere.
    """
    return _Bert(form, weights or {}).write().save(folder)


class _Bert:
    def __init__(self, form: Form, given: Mapping[str, Array]) -> None:
        self.form = form
        self.given = given
        self.w = Writer(form.version)
        self.random = np.random.default_rng(form.seed)
        self.batch_sequence = (1, form.sequence)

    def write(self) -> Writer:
        form, w = self.form, self.w
        shape = ",".join(map(str, self.batch_sequence))
        ids = [
            w.one(
                "Parameter",
                name,
                [],
                self.batch_sequence,
                form.ids,
                shape=shape,
                element_type=form.ids,
            )
            for name in form.inputs
        ]
        words = self.embedding("words", form.vocabulary, ids[0])
        if len(ids) > 3:
            positions = self.embedding("positions", form.positions, ids[3])
        else:  # frozen into the graph, one row for each position
            rows = self.random.normal(0, 0.5, (1, form.sequence, form.width))
            positions = self.floats("positions", rows)
        kinds = self.embedding("kinds", 2, ids[2])
        hidden = self.add("embeddings.sum", self.add("embeddings.pair", words, positions), kinds)
        hidden = self.fake_quantize("embeddings.codes", self.norm("embeddings.norm", hidden), 4.2)
        penalty = self.padding(ids[1])
        for number in range(form.layers):
            hidden = self.layer(f"layer.{number}", hidden, penalty)
        scores = self.linear("answer", hidden, 2)
        axis, lengths = (
            w.constant("answer.axis", -1, "i64"),
            w.constant("answer.lengths", [1, 1], "i64"),
        )
        part = ((*self.batch_sequence, 1), "f32")
        for name, out in zip(
            form.outputs,
            w.layer("VariadicSplit", "answer.split", [scores, axis, lengths], part, part),
            strict=True,
        ):
            axes = w.constant(f"{name}.axes", [2], "u64")
            squeezed = w.one("Squeeze", name, [out, axes], self.batch_sequence)
            w.layer("Result", f"{name}/sink_port_0", [squeezed])
        return w

    def layer(self, name: str, hidden: Out, penalty: Out) -> Out:
        form = self.form
        context = self.attention(name, hidden, penalty)
        out = self.fake_quantize(
            f"{name}.out.codes", self.linear(f"{name}.out", context, form.width), 3.7
        )
        total = self.add(f"{name}.attended", out, hidden)
        middle = self.fake_quantize(f"{name}.middle.codes", self.norm(f"{name}.middle", total), 4.1)
        step = middle
        for index, width in enumerate(form.inner):
            step = self.gelu(
                f"{name}.gelu.{index}", self.linear(f"{name}.inner.{index}", step, width)
            )
            step = self.fake_quantize(f"{name}.gelu.{index}.codes", step, 3.9, low=-0.17)
        step = self.fake_quantize(
            f"{name}.fed.codes", self.linear(f"{name}.fed", step, form.width), 2.9
        )
        total = self.add(f"{name}.total", step, middle)
        return self.fake_quantize(f"{name}.codes", self.norm(f"{name}.norm", total), 4.3)

    def attention(self, name: str, hidden: Out, penalty: Out) -> Out:
        form, w = self.form, self.w
        batch, length = self.batch_sequence
        size = form.width // form.heads
        apart, split = (batch, form.heads, length, size), (batch, length, form.heads, size)

        def heads(part: str, order: list[int], shape: tuple[int, ...]) -> Out:
            out = self.linear(f"{name}.{part}", hidden, form.width)
            target = w.constant(f"{name}.{part}.split", split, "i64")
            out = w.one(
                "Reshape", f"{name}.{part}.heads", [out, target], split, special_zero="true"
            )
            orders = w.constant(f"{name}.{part}.order", order, "i64")
            return w.one("Transpose", f"{name}.{part}.turned", [out, orders], shape)

        query = heads("query", [0, 2, 1, 3], apart)
        key = heads("key", [0, 2, 3, 1], (batch, form.heads, size, length))
        scale = self.floats(f"{name}.factor", np.full((1, 1, 1, 1), size**-0.5))
        key = w.one(
            "Multiply", f"{name}.key.scaled", [key, scale], key.shape, auto_broadcast="numpy"
        )
        square = (batch, form.heads, length, length)
        scores = self.matmul(f"{name}.scores", query, key, square)
        weights = self.softmax(name, self.add(f"{name}.masked", scores, penalty))
        value = heads("value", [0, 2, 1, 3], apart)
        context = self.fake_quantize(
            f"{name}.context.codes", self.matmul(f"{name}.context", weights, value, apart), 2.3
        )
        order = w.constant(f"{name}.context.order", [0, 2, 1, 3], "i64")
        context = w.one("Transpose", f"{name}.context.turned", [context, order], split)
        shape = (batch, length, form.width)
        target = w.constant(f"{name}.context.shape", shape, "i64")
        return w.one(
            "Reshape", f"{name}.context.joined", [context, target], shape, special_zero="true"
        )

    def softmax(self, name: str, scores: Out) -> Out:
        w, shape = self.w, scores.shape
        if self.form.softmax == "plain":
            return w.one(
                "SoftMax", f"{name}.softmax", [scores], shape, axis=len(shape) - 1, opset="opset8"
            )
        sizes = w.one("ShapeOf", f"{name}.sizes", [scores], (4,), "i64")
        bounds = [w.constant(f"{name}.sizes.{i}", [i], "i64") for i in (0, 3, 1)]
        masks = {
            "begin_mask": "0",
            "end_mask": "0",
            "new_axis_mask": "",
            "shrink_axis_mask": "",
            "ellipsis_mask": "",
        }
        first = w.one("StridedSlice", f"{name}.sizes.first", [sizes, *bounds], (3,), "i64", **masks)
        axis = w.constant(f"{name}.sizes.axis", 0, "i64")
        rows = w.one("ReduceProd", f"{name}.rows", [first, axis], (1,), "i64", keep_dims="true")
        rest = w.constant(f"{name}.rest", [-1], "i64")
        target = w.one("Concat", f"{name}.flat", [rows, rest], (2,), "i64", axis=0)
        flat = (int(np.prod(shape[:3])), shape[3])
        out = w.one("Reshape", f"{name}.flattened", [scores, target], flat, special_zero="true")
        out = w.one("SoftMax", f"{name}.softmax.flat", [out], flat, axis=1, opset="opset8")
        return w.one("Reshape", f"{name}.softmax", [out, sizes], shape, special_zero="false")

    def padding(self, mask: Out) -> Out:
        w = self.w
        batch, length = self.batch_sequence
        one = self.floats("padding.one", np.ones((1, 1, 1, 1)))
        axes = [w.constant(f"padding.axis.{i}", [i], "i64") for i in (1, 2)]
        mask = w.one("Unsqueeze", "padding.first", [mask, axes[0]], (batch, 1, length), mask.dtype)
        mask = w.one(
            "Unsqueeze", "padding.second", [mask, axes[1]], (batch, 1, 1, length), mask.dtype
        )
        mask = w.one("Convert", "padding.float", [mask], mask.shape, destination_type="f32")
        masked = w.one(
            "Subtract", "padding.masked", [one, mask], mask.shape, auto_broadcast="numpy"
        )
        penalty = self.floats("padding.penalty", np.full((1, 1, 1, 1), -10000))
        return w.one("Multiply", "padding", [masked, penalty], mask.shape, auto_broadcast="numpy")

    # --------------------------------------------------------------------------------------------
    # Parts

    def floats(self, name: str, array: Any) -> Out:
        """A float constant as exporters store it: float16 with a Convert after it, or float32."""
        if self.form.floats == "f32":
            return self.w.constant(name, self.given.get(name, array), "f32")
        out = self.w.constant(f"{name}_compressed", array, "f16")
        return self.w.one("Convert", name, [out], out.shape, destination_type="f32")

    def weight(self, name: str, rows: int, columns: int, *, deviation: float) -> Out:
        """Codes -> Convert -> Subtract -> Multiply; or floats -> FakeQuantize with 255 levels."""
        if name in self.given:
            return self.floats(name, self.given[name])
        form, w = self.form, self.w
        per_row = (rows, 1) if form.per_channel else (1, 1)
        scale = deviation / 50 * self.random.uniform(0.7, 1.3, per_row)
        codes = np.clip(np.round(self.random.normal(0, 50, (rows, columns))), -127, 127)
        if form.weights == "FakeQuantize":
            floats = self.floats(
                name, codes * scale + self.random.uniform(-0.4, 0.4, codes.shape) * scale
            )
            high = np.float16(127 * scale) if form.floats == "f16" else 127 * scale
            limits = [
                self.floats(f"{name}.{i}", limit)
                for i, limit in enumerate((-high, high, -high, high))
            ]
            shape = (rows, columns)
            return w.one(
                "FakeQuantize",
                f"{name}.codes",
                [floats, *limits],
                shape,
                levels=255,
                auto_broadcast="numpy",
            )
        zero = self.random.integers(-5, 6, per_row) if form.zero_points else np.zeros(per_row)
        if form.weights == "u8":
            codes, zero = codes + 128, zero + 128
        out = w.constant(name, codes, form.weights)
        out = w.one("Convert", f"{name}.float", [out], out.shape, destination_type="f32")
        if zero.any():
            zeros = w.constant(f"{name}.zero", zero, form.weights)
            zeros = w.one(
                "Convert", f"{name}.zero.float", [zeros], zeros.shape, destination_type="f32"
            )
            out = w.one(
                "Subtract", f"{name}.centred", [out, zeros], out.shape, auto_broadcast="numpy"
            )
        scale = np.ones_like(scale) if form.drop == f"{name}.scale" else scale
        return w.one(
            "Multiply",
            f"{name}.codes",
            [out, self.floats(f"{name}.scale", scale)],
            out.shape,
            auto_broadcast="numpy",
        )

    def embedding(self, name: str, rows: int, ids: Out) -> Out:
        form, w = self.form, self.w
        if form.embeddings == "i8" or self.given:
            table = self.weight(f"{name}.weight", rows, form.width, deviation=0.5)
        else:
            table = w.constant(
                f"{name}.weight", self.random.normal(0, 0.5, (rows, form.width)), form.embeddings
            )
            if form.embeddings == "f16":
                table = w.one(
                    "Convert", f"{name}.weight.float", [table], table.shape, destination_type="f32"
                )
        axis = w.constant(f"{name}.axis", 0, "i64")
        shape = (*ids.shape, form.width)
        return w.one("Gather", name, [table, ids, axis], shape, opset="opset8", batch_dims=0)

    def linear(self, name: str, hidden: Out, width: int) -> Out:
        weight = self.weight(
            f"{name}.weight", width, hidden.shape[-1], deviation=hidden.shape[-1] ** -0.5
        )
        out = self.matmul(
            f"{name}.product", hidden, weight, (*hidden.shape[:-1], width), transpose_b="true"
        )
        bias = self.random.normal(0, 0.3, (1, 1, width)) * (self.form.drop != f"{name}.bias")
        return self.add(name, out, self.floats(f"{name}.bias", bias))

    def matmul(
        self, name: str, a: Out, b: Out, shape: tuple[int, ...], transpose_b: str = "false"
    ) -> Out:
        return self.w.one(
            "MatMul", name, [a, b], shape, transpose_a="false", transpose_b=transpose_b
        )

    def add(self, name: str, a: Out, b: Out) -> Out:
        shape = np.broadcast_shapes(a.shape, b.shape)
        return self.w.one("Add", name, [a, b], shape, auto_broadcast="numpy")

    def binary(self, kind: str, name: str, a: Out, b: Out | float) -> Out:
        right = b if isinstance(b, Out) else self.floats(f"{name}.constant", np.full((1, 1, 1), b))
        shape = np.broadcast_shapes(a.shape, right.shape)
        return self.w.one(kind, name, [a, right], shape, auto_broadcast="numpy")

    def fake_quantize(self, name: str, x: Out, high: float, low: float | None = None) -> Out:
        form = self.form
        if self.given or form.drop == name:
            return x
        if form.signed or form.levels == 255:  # symmetric: zero is a code
            low = -high if form.levels == 255 else -high * 128 / 127
        elif low is None:
            low = -high * 0.97
        ones = (1,) * len(x.shape)
        limits = [
            self.floats(f"{name}.{i}", np.full(ones, limit))
            for i, limit in enumerate((low, high) * 2)
        ]
        return self.w.one(
            "FakeQuantize", name, [x, *limits], x.shape, levels=form.levels, auto_broadcast="numpy"
        )

    def gelu(self, name: str, x: Out) -> Out:
        if self.form.gelu == "Gelu":
            return self.w.one("Gelu", name, [x], x.shape, approximation_mode="ERF", opset="opset7")
        bell = self.binary("Divide", f"{name}.scaled", x, 2**0.5)
        bell = self.w.one("Erf", f"{name}.erf", [bell], x.shape)
        bell = self.binary("Add", f"{name}.bell", bell, 1.0)
        return self.binary("Multiply", name, self.binary("Multiply", f"{name}.whole", x, bell), 0.5)

    def norm(self, name: str, x: Out) -> Out:
        form, w = self.form, self.w
        if form.norm == "MVN-6":
            axes = w.constant(f"{name}.axes", [-1], "i64")
            data = {
                "eps": "9.999999960041972e-13",
                "normalize_variance": "true",
                "eps_mode": "INSIDE_SQRT",
            }
            out = w.one("MVN", f"{name}.mvn", [x, axes], x.shape, opset="opset6", **data)
        elif form.norm == "MVN-1":
            data = {
                "eps": "9.999999960041972e-13",
                "normalize_variance": "true",
                "across_channels": "false",
            }
            out = w.one("MVN", f"{name}.mvn", [x], x.shape, opset="opset2", **data)
        else:
            out = self.decomposed_norm(name, x)
        gamma = self.floats(f"{name}.gamma", self.random.normal(1, 0.1, (1, 1, form.width)))
        beta = self.floats(f"{name}.beta", self.random.normal(0, 0.2, (1, 1, form.width)))
        return self.add(name, self.binary("Multiply", f"{name}.times", out, gamma), beta)

    def decomposed_norm(self, name: str, x: Out) -> Out:
        narrow = (*x.shape[:-1], 1)

        def mean(part: str, value: Out) -> Out:
            axes = self.w.constant(f"{name}.{part}.axes", [-1], "i64")
            return self.w.one(
                "ReduceMean", f"{name}.{part}", [value, axes], narrow, keep_dims="true"
            )

        centred = self.binary("Subtract", f"{name}.centred", x, mean("mean", x))
        variance = mean("variance", self.binary("Power", f"{name}.squared", centred, 2.0))
        # float16 has no 1e-12: exporters keep this one constant as float32
        epsilon = self.w.constant(f"{name}.epsilon", np.full((1, 1, 1), 1e-12), "f32")
        spread = self.w.one(
            "Sqrt", f"{name}.root", [self.add(f"{name}.spread", variance, epsilon)], narrow
        )
        return self.binary("Divide", f"{name}.divided", centred, spread)


# ------------------------------------------------------------------------------------------------
# Weights for a topology that exists


def random_weights(xml: Path, folder: Path) -> Path:
    """A copy of an .xml whose .bin is not at hand, with a random .bin of the exact offsets and
    sizes.

    What a constant is for follows from what reads it; where several share bytes, the first has its
    way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / "model.xml"
    copy.write_bytes(xml.read_bytes())
    root = ElementTree.parse(xml).getroot()
    topology = _Topology(root)
    constants = [layer for layer in root.iterfind("layers/layer") if layer.get("type") == "Const"]
    data = [{**layer.find("data").attrib} for layer in constants]  # type: ignore[union-attr]
    blob = np.zeros(max(int(each["offset"]) + int(each["size"]) for each in data), np.uint8)
    written: set[str] = set()
    random = np.random.default_rng(0)
    for layer, each in zip(constants, data, strict=True):
        if each["offset"] not in written:
            shape = tuple(int(size) for size in each["shape"].split(",")) if each["shape"] else ()
            values = topology.values(layer, shape, random)
            raw = np.broadcast_to(values, shape).astype(DTYPE[each["element_type"]]).tobytes()
            start = int(each["offset"])
            blob[start : start + len(raw)] = np.frombuffer(raw, np.uint8)
            written.add(each["offset"])
    blob.tofile(copy.with_suffix(".bin"))
    return copy


class _Topology:
    """Who reads whom in an .xml of the authentic small model's kind."""

    def __init__(self, root: ElementTree.Element) -> None:
        self.layers = {layer.get("id", ""): layer for layer in root.iterfind("layers/layer")}
        self.sources: dict[tuple[str, str], ElementTree.Element] = {}
        self.readers: dict[str, tuple[ElementTree.Element, int]] = {}
        for edge in root.iterfind("edges/edge"):
            source, target = edge.get("from-layer", ""), edge.get("to-layer", "")
            port = edge.get("to-port", "")
            self.sources[target, port] = self.layers[source]
            ports = [each.get("id") for each in self.layers[target].iterfind("input/port")]
            self.readers.setdefault(source, (self.layers[target], ports.index(port)))

    def values(
        self, const: ElementTree.Element, shape: tuple[int, ...], random: np.random.Generator
    ) -> Array:
        reader, port = self.readers[const.get("id", "")]
        if reader.get("type") == "Convert":
            reader, port = self.readers[reader.get("id", "")]
        kind = reader.get("type", "")
        before, after = self.shape(reader, "input/port"), self.shape(reader, "output/port")
        if len(shape) == 2 and max(shape) > 1:
            return np.clip(np.round(random.normal(0, 40, shape)), -127, 127)
        if kind == "FakeQuantize":
            return np.asarray(self.limits(reader)[(port - 1) % 2])
        if kind == "Multiply":
            return self.factor(reader, shape, random)
        fixed: dict[str, Any] = {
            "Gather": 0,
            "MVN": -1,
            "Reshape": [0, 0, *after[2:]],
            "Transpose": [0, 2, 1, 3] if after[-1] == before[-1] else [0, 2, 3, 1],
            "Unsqueeze": len(after) - 2,
            "Squeeze": 2,
            "StridedSlice": [None, 0, 3, 1][port],
            "ReduceProd": 0,
            "Concat": -1,
            "VariadicSplit": [None, -1, [1, 1]][port],
            "Subtract": 1,
            "Add": random.normal(0, 0.1, shape),
        }
        return np.asarray(fixed[kind])

    def limits(self, reader: ElementTree.Element) -> tuple[float, float]:
        source = self.sources[reader.get("id", ""), "0"].get("type", "")
        return {"Gelu": (-0.17, 3.1), "MatMul": (-2.1, 2.2)}.get(source, (-3.9, 4.1))

    def factor(
        self, reader: ElementTree.Element, shape: tuple[int, ...], random: np.random.Generator
    ) -> Array:
        """Of a norm, the scores, the padding or a weight."""
        source = self.sources[reader.get("id", ""), "0"].get("type", "")
        scale = 0.02 if max(self.shape(reader, "output/port")) > 10_000 else 0.0011
        norm = random.normal(1, 0.1, shape)
        return np.asarray({"MVN": norm, "Transpose": 0.125, "Subtract": -10000}.get(source, scale))

    @staticmethod
    def shape(layer: ElementTree.Element, ports: str) -> list[int]:
        port = layer.find(ports)
        return [int(size.text or 0) for size in port.iterfind("dim")] if port is not None else []
