"""An ONNX graph on disk, in files below a size: model.onnx and, where that is not enough, its large
tensors beside it in model.onnx.data-1, -2 and so on (ONNX calls it external data).

model.onnx holds the others' checksums, so that its own hash tells every weight.
"""

import hashlib
from pathlib import Path

import onnx
from onnx import TensorProto

GRAPH = "model.onnx"
LIMIT = 95_000_000  # bytes; hosts of git repositories refuse files of 100 MB
SMALL = 1024  # bytes; smaller tensors stay in the graph, where shape inference reads them
ALIGNMENT = 4096  # so that a file can be mapped into memory


def files(folder: Path) -> list[Path]:
    """The files of the graph in a folder, in order."""
    return sorted(folder.glob(f"{GRAPH}*"))


def save(model: onnx.ModelProto, folder: Path, limit: int = LIMIT) -> None:
    """Write the graph in place of one that is there. `model` is changed.

    Raises ValueError where a tensor, or what is left of the graph, is larger than `limit`.
    """
    for old in files(folder):
        old.unlink()
    if model.ByteSize() > limit:
        for number, tensors in enumerate(_dealt(model, limit), 1):
            _move(tensors, folder / f"{GRAPH}.data-{number}")
    if model.ByteSize() > limit:
        raise ValueError(f"A graph of {model.ByteSize():,} bytes does not fit into {limit:,}.")
    (folder / GRAPH).write_bytes(model.SerializeToString(deterministic=True))


def _dealt(model: onnx.ModelProto, limit: int) -> list[list[TensorProto]]:
    """The large tensors in their order, each list's aligned bytes within the limit."""
    parts: list[list[TensorProto]] = []
    size = limit
    for tensor in model.graph.initializer:
        length = -(-len(tensor.raw_data) // ALIGNMENT) * ALIGNMENT
        if len(tensor.raw_data) < SMALL:
            continue
        if length > limit:
            raise ValueError(f"{tensor.name}, {length:,} bytes, does not fit into {limit:,}.")
        if size + length > limit:
            parts.append([])
            size = 0
        parts[-1].append(tensor)
        size += length
    return parts


def _move(tensors: list[TensorProto], path: Path) -> None:
    """Move the tensors' values to a file."""
    offsets = []
    with path.open("wb") as file:
        for tensor in tensors:
            file.write(b"\0" * (-file.tell() % ALIGNMENT))
            offsets.append(file.tell())
            file.write(tensor.raw_data)
    checksum = hashlib.sha1(path.read_bytes()).hexdigest()  # SHA-1 is what ONNX says
    for tensor, offset in zip(tensors, offsets, strict=True):
        place = {
            "location": path.name,
            "offset": offset,
            "length": len(tensor.raw_data),
            "checksum": checksum,
        }
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
