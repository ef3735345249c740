"""An OpenVINO IR (versions 10 and 11) read into a graph: an .xml of layers and edges, a .bin of
constants.

Both files are data from outside. The .xml may not declare a document type (so no entity can
expand), may not be larger than any network this is for, and every number, shape, offset and edge is
checked before it is used; constants are views into the mapped .bin, so nothing is allocated for
what a file merely claims. What the layers mean is not known here: see patterns.py.
"""

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np
import numpy.typing as npt

from qa.errors import QAError

Array = npt.NDArray[Any]
Value = tuple[int, int]  # a layer's id and the index of one of its outputs

MAX_XML_BYTES = 16 << 20  # BERT-large has 2 MB
MAX_XML_ELEMENTS = 500_000  # BERT-large has about 80 000
MAX_BIN_BYTES = 2_000_000_000  # BERT-large has 430 MB

# element_type of a constant -> its numpy form; a port's precision says the same in other words
DTYPES = {
    "f64": "<f8",
    "f32": "<f4",
    "f16": "<f2",
    "i64": "<i8",
    "u64": "<u8",
    "i32": "<i4",
    "u32": "<u4",
    "i16": "<i2",
    "u16": "<u2",
    "i8": "i1",
    "u8": "u1",
    "boolean": "?",
}


class IRError(QAError):
    """The files are not an IR, or not one that can be converted."""


@dataclass(frozen=True)
class Port:
    """One output: its declared element type, its shape (-1 where unknown) and its tensor names."""

    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Layer:
    """One operation. `constants` holds a Const's array as "value"; patterns add theirs under other
    names."""

    id: int
    name: str
    type: str
    attributes: Mapping[str, str]
    inputs: tuple[Value, ...]
    outputs: tuple[Port, ...]
    constants: Mapping[str, Array] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.type} layer “{self.name}”"

    def flag(self, attribute: str) -> bool:
        return self.attributes.get(attribute, "").lower() in ("true", "1")

    def number(self, attribute: str) -> float:
        try:
            return float(self.attributes[attribute])
        except (KeyError, ValueError):
            raise IRError(f"The {self} has no number “{attribute}”.") from None

    def whole(self, attribute: str, default: int) -> int:
        text = self.attributes.get(attribute, str(default))
        if not re.fullmatch(r"-?\d{1,4}", text):
            raise IRError(f"The {self} has no whole number “{attribute}”.")
        return int(text)


@dataclass(frozen=True)
class Graph:
    """Layers by id, every one after the layers it reads; and in the order of the .xml its inputs,
    each with the name of its Parameter's tensor, and its outputs, each with the name of the tensor
    its Result reads."""

    layers: dict[int, Layer]
    inputs: dict[int, str]
    outputs: dict[int, str]


def read(xml: Path) -> Graph:
    """Read `xml` and the .bin beside it.

    Raises:
        IRError: one sentence on what is missing, damaged or inconsistent.
    """
    weights = xml.with_suffix(".bin")
    for path, limit in ((xml, MAX_XML_BYTES), (weights, MAX_BIN_BYTES)):
        if not path.is_file():
            raise IRError(
                f"There is no file {path}: an OpenVINO model is an .xml and a .bin of one name."
            )
        if path.stat().st_size > limit:
            raise IRError(f"{path} is larger than the {limit / 1e6:.0f} MB that a BERT can need.")
    root = _parse(xml)
    version = root.get("version", "")
    if root.tag != "net" or version not in ("10", "11"):
        raise IRError(f"{xml} is not an OpenVINO IR of version 10 or 11.")
    # An empty file cannot be mapped.
    blob = np.memmap(weights, np.uint8, "r") if weights.stat().st_size else np.empty(0, np.uint8)
    layers: dict[int, Layer] = {}
    ports: dict[int, _Ports] = {}
    for element in root.iterfind("layers/layer"):
        layer, ports_of_layer = _layer(element, blob)
        if layer.id in layers:
            raise IRError(f"Two layers of the .xml have the id {layer.id}.")
        layers[layer.id], ports[layer.id] = layer, ports_of_layer
    _connect(root.iterfind("edges/edge"), layers, ports)
    inputs, outputs = {}, {}
    for number, layer in layers.items():
        if layer.type == "Parameter":
            inputs[number] = _tensor_name(layer, 0)
        elif layer.type == "Result" and len(layer.inputs) == 1:
            outputs[number] = _tensor_name(layers[layer.inputs[0][0]], layer.inputs[0][1])
    if (
        not inputs
        or not outputs
        or len({*inputs.values(), *outputs.values()}) < len(inputs) + len(outputs)
    ):
        raise IRError(f"{xml} needs at least one input and one output, all of different names.")
    return Graph(_sorted(layers), inputs, outputs)


def _tensor_name(layer: Layer, output: int) -> str:
    """Version 11 names tensors; before, a tensor was called as the layer it comes from."""
    names = layer.outputs[output].names if layer.outputs else ()
    return layer.name if layer.name in names or not names else names[0]


# ------------------------------------------------------------------------------------------------
# The .xml


def _parse(xml: Path) -> Element:
    builder = TreeBuilder()
    count = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if count > MAX_XML_ELEMENTS:
            raise IRError(f"{xml} has more than {MAX_XML_ELEMENTS} elements, which no BERT needs.")
        builder.start(tag, attributes)

    def refuse(*_: object) -> None:
        raise IRError(f"{xml} declares a document type, which an OpenVINO IR never does.")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(xml.read_bytes(), True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # or of an unknown encoding
        raise IRError(f"{xml} is not well-formed XML: {error}.") from error
    return builder.close()


@dataclass(frozen=True)
class _Ports:
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def _layer(element: Element, blob: Array) -> tuple[Layer, _Ports]:
    name, kind = element.get("name", ""), element.get("type", "")
    where = f"{kind or 'A'} layer “{name}”"
    data = element.find("data")
    attributes = dict(data.attrib) if data is not None else {}
    inputs = tuple(_integer(port.get("id"), where) for port in element.iterfind("input/port"))
    outputs = {
        _integer(port.get("id"), where): _port(port, where)
        for port in element.iterfind("output/port")
    }
    constants = (
        {"value": _constant(attributes, tuple(outputs.values()), blob, where)}
        if kind == "Const"
        else {}
    )
    layer = Layer(
        id=_integer(element.get("id"), where),
        name=name,
        type=kind,
        attributes=attributes,
        inputs=(),
        outputs=tuple(outputs.values()),
        constants=constants,
    )
    return layer, _Ports(inputs, tuple(outputs))


def _port(element: Element, where: str) -> Port:
    shape = tuple(_integer(dim.text, where, least=-1) for dim in element.iterfind("dim"))
    names = re.split(r"(?<!\\),", element.get("names", ""))
    return Port(
        dtype=_element_type(element.get("precision", "")),
        shape=shape,
        names=tuple(name.replace("\\,", ",") for name in names if name),
    )


def _element_type(precision: str) -> str:
    """A port's precision ("FP32", "I64", "BOOL") in the words of element_type."""
    word = precision.lower()
    return "boolean" if word == "bool" else re.sub("^fp", "f", word)


def _constant(
    attributes: Mapping[str, str], outputs: tuple[Port, ...], blob: Array, where: str
) -> Array:
    """The view of the .bin that a Const names; releases of version 10 may leave its type to the
    port."""
    element_type = attributes.get("element_type") or (outputs[0].dtype if outputs else "")
    if element_type not in DTYPES:
        raise IRError(
            f"{where} holds numbers of the type “{element_type}”, which cannot be converted."
        )
    dtype = np.dtype(DTYPES[element_type])
    shape = dimensions(attributes.get("shape", ""), where)
    offset, size = (
        _integer(attributes.get("offset"), where),
        _integer(attributes.get("size"), where),
    )
    if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize != size:
        raise IRError(
            f"{where} says it has {size} bytes, but its shape {list(shape)} needs another number."
        )
    if offset + size > blob.size:
        raise IRError(
            f"{where} reaches to byte {offset + size}, but the .bin ends at {blob.size}: "
            "fetch the .bin again."
        )
    return blob[offset : offset + size].view(dtype).reshape(shape)


def dimensions(text: str, where: str) -> tuple[int, ...]:
    """A shape as attributes write it: "1, 384", "" for a scalar, "?" (or "1..384") for an unknown
    size."""
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    return tuple(
        -1 if "?" in part or ".." in part else _integer(part, where, least=-1) for part in parts
    )


def _integer(text: str | None, where: str, *, least: int = 0) -> int:
    """A number between `least` and 2^40 (beyond any offset or size there can be)."""
    match = re.fullmatch(r"-?\d{1,13}", (text or "").strip())
    if match and least <= (number := int(match[0])) <= 1 << 40:
        return number
    raise IRError(
        f"{where} has “{(text or '')[:40]}” where a whole number of at least {least} belongs."
    )


# ------------------------------------------------------------------------------------------------
# Edges


def _connect(edges: Iterable[Element], layers: dict[int, Layer], ports: dict[int, _Ports]) -> None:
    """Fill in every layer's inputs, in the order of its ports."""
    sources: dict[tuple[int, int], Value] = {}
    for edge in edges:
        keys = ("from-layer", "from-port", "to-layer", "to-port")
        source, output, target, port = (
            _integer(edge.get(key), "An edge of the .xml") for key in keys
        )
        if source not in layers or output not in ports[source].outputs:
            raise IRError(
                f"An edge comes from output {output} of layer {source}, which does not exist."
            )
        if target not in layers or port not in ports[target].inputs:
            raise IRError(f"An edge leads to input {port} of layer {target}, which does not exist.")
        if (target, port) in sources:
            raise IRError(f"Two edges of the .xml lead to input {port} of the {layers[target]}.")
        sources[target, port] = (source, ports[source].outputs.index(output))
    for number, layer in layers.items():
        for port in ports[number].inputs:
            if (number, port) not in sources:
                raise IRError(f"No edge of the .xml leads to input {port} of the {layer}.")
        inputs = tuple(sources[number, port] for port in ports[number].inputs)
        layers[number] = replace(layer, inputs=inputs)


def _sorted(layers: dict[int, Layer]) -> dict[int, Layer]:
    """Layers in an order in which every one follows its inputs (Kahn's algorithm)."""
    readers: dict[int, list[int]] = {number: [] for number in layers}
    waiting = {}
    for number, layer in layers.items():
        waiting[number] = len(layer.inputs)
        for source, _ in layer.inputs:
            readers[source].append(number)
    ready = deque(number for number, count in waiting.items() if count == 0)
    order: dict[int, Layer] = {}
    while ready:
        number = ready.popleft()
        order[number] = layers[number]
        for reader in readers[number]:
            waiting[reader] -= 1
            if waiting[reader] == 0:
                ready.append(reader)
    if len(order) < len(layers):
        stuck = next(layer for number, layer in layers.items() if number not in order)
        raise IRError(f"The layers of the .xml form a cycle: the {stuck} waits for its own result.")
    return order
