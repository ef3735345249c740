"""An ONNX model under construction: nodes, initializers, names, and the file or files it is saved
to.

Knows nothing of where the model comes from. Initializers are written out as they come where the
model will not fit into one file, so that a large one is never in memory twice.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from qa.openvino_ir.graph import Array

OPSET = 20  # the first with Gelu
IR_VERSION = 9
MICROSOFT = "com.microsoft"  # ONNX Runtime's own operators
EXTERNAL_ABOVE = (
    1024  # bytes; smaller initializers stay in the .onnx, where shape inference can read them
)
ALIGNMENT = 4096  # so that external data can be mapped


class OnnxFile:
    """`folder`/model.onnx, and beside it model.onnx.data if `external`."""

    def __init__(self, folder: Path, *, external: bool) -> None:
        self.path = folder / "model.onnx"
        self._data = (folder / "model.onnx.data").open("wb") if external else None
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[TensorProto] = []
        self._small: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._names: set[str] = set()
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self.initializer_bytes = 0

    def name(self, wanted: str) -> str:
        """`wanted`, or where it is taken something like it."""
        name, count = wanted, 1
        while name in self._names:
            name, count = f"{wanted}.{count}", count + 1
        self._names.add(name)
        return name

    def reserve(self, name: str) -> None:
        """Keep `name` for an input or an output."""
        if name in self._names:
            raise ValueError(f"{name} is taken")
        self._names.add(name)

    def input(self, name: str, dtype: int, axes: Sequence[str]) -> None:
        self.reserve(name)
        self._inputs.append(helper.make_tensor_value_info(name, dtype, axes))

    def output(self, source: str, name: str, dtype: int, axes: Sequence[str | int]) -> None:
        """Give the tensor `source` out under `name`, which has been reserved."""
        self._nodes.append(helper.make_node("Identity", [source], [name], name=f"{name}.out"))
        self._outputs.append(helper.make_tensor_value_info(name, dtype, axes))

    @property
    def first_input(self) -> str:
        return self._inputs[0].name

    def initializer(self, array: Array, name: str, *, shared: bool = True) -> str:
        """A constant; small equal ones are one, unless this is not to be `shared`."""
        array = np.ascontiguousarray(array) if array.ndim else np.asarray(array)
        key = (
            array.dtype.str,
            array.shape,
            array.tobytes() if array.nbytes <= EXTERNAL_ABOVE else b"",
        )
        if shared and key[2] and key in self._small:
            return self._small[key]
        name = self.name(name)
        self.initializer_bytes += array.nbytes
        if shared and key[2]:
            self._small[key] = name
        if self._data is None or array.nbytes <= EXTERNAL_ABOVE:
            self._initializers.append(numpy_helper.from_array(array, name))
        else:
            self._initializers.append(self._stored(array, name, self._data))
        return name

    def _stored(self, array: Array, name: str, data: BinaryIO) -> TensorProto:
        """`array` written to the file of external data, and where it is there."""
        data.write(b"\0" * (-data.tell() % ALIGNMENT))
        tensor = TensorProto(
            name=name,
            dims=array.shape,
            data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
            data_location=TensorProto.EXTERNAL,
        )
        place = {
            "location": f"{self.path.name}.data",
            "offset": data.tell(),
            "length": array.nbytes,
        }
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        data.write(array.data)
        return tensor

    def node(
        self,
        operator: str,
        inputs: Sequence[str],
        name: str,
        *,
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Add a node with one output, which bears the node's name."""
        return self.nodes(operator, inputs, [name], domain=domain, **attributes)[0]

    def nodes(
        self,
        operator: str,
        inputs: Sequence[str],
        names: Sequence[str],
        *,
        domain: str = "",
        **attributes: Any,
    ) -> list[str]:
        outputs = [self.name(name) for name in names]
        node = helper.make_node(
            operator, inputs, outputs, name=outputs[0], domain=domain, **attributes
        )
        self._nodes.append(node)
        return outputs

    def save(self) -> None:
        if self._data is not None:
            self._data.close()
        graph = helper.make_graph(
            self._nodes, "model", self._inputs, self._outputs, self._initializers
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)],
            ir_version=IR_VERSION,
            producer_name="verbatim",
        )
        self.path.write_bytes(model.SerializeToString())
