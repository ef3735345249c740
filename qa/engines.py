"""Which engine runs a model: ONNX Runtime's own kernels for processors, or another that is found on
this machine. Optional ones are plugins or builds of ONNX Runtime that somebody installed; nothing
here installs or requires one.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import threading
from pathlib import Path

import numpy as np
import onnxruntime as ort

from qa import processors
from qa.errors import InputError, OutOfMemoryError, QAError

DEFAULT = "cpu"
AUTO = "auto"  # whichever of those available turns out to be the fastest with a model
# Names here and the execution providers of ONNX Runtime that they stand for.
_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
HELP = (  # of the flag --engine
    "what runs models: cpu, openvino, cuda, coreml or directml, where it is installed, or auto for "
    "the fastest of them (QA_ENGINE, else cpu)"
)
NAMES = tuple(_PROVIDERS)
_PLUGIN = "onnxruntime_ep_openvino"  # pip install onnxruntime-ep-openvino
_registering = threading.Lock()


def available() -> tuple[str, ...]:
    """Return the engines that this machine has, `cpu` first."""
    built_in = ort.get_available_providers()
    return tuple(
        name
        for name, provider in _PROVIDERS.items()
        if provider in built_in or (name == "openvino" and importlib.util.find_spec(_PLUGIN))
    )


def chosen(name: str | None = None) -> str:
    """Return the engine of this name, by default the one that QA_ENGINE names, else `cpu`.

    Raises InputError where this machine does not have it.
    """
    name = name or os.environ.get("QA_ENGINE") or DEFAULT
    names = (AUTO, *available())
    if name not in names:
        raise InputError(
            f"There is no engine {name!r} on this machine; choose one of: {', '.join(names)}."
        )
    return name


def session(
    path: Path, engine: str, threads: int | None, *, fits_16_bits: bool
) -> ort.InferenceSession:
    """Load a graph to run on `threads` processors, by default all that may be used.

    Raises OutOfMemoryError where memory does not suffice, QAError where the engine cannot run it.
    """
    settings = options(threads, fits_16_bits=fits_16_bits)
    try:
        weights = _weights_beside(path)
        if weights:
            # It copies what it needs while the session is made.
            settings.add_external_initializers_from_files_in_memory(
                [*weights], [*weights.values()], [len(data) for data in weights.values()]
            )
        if engine == "openvino" and _PROVIDERS[engine] not in ort.get_available_providers():
            _add_plugin(settings)
            return ort.InferenceSession(path, settings)
        providers = list(dict.fromkeys((_PROVIDERS[engine], _PROVIDERS["cpu"])))
        # Its fallback would say on standard output that it runs something else, and do so.
        found = ort.InferenceSession(path, settings, providers=providers, enable_fallback=0)
        if _PROVIDERS[engine] not in found.get_providers():  # its libraries were not found
            raise _cannot_run(engine, path)
        return found
    except QAError:
        raise
    except Exception as error:  # its exceptions have no common base
        if out_of_memory(error):
            raise OutOfMemoryError from error
        if engine != DEFAULT:
            raise _cannot_run(engine, path) from error
        raise QAError(f"{path} is not a model ONNX Runtime can run; install it again.") from error


def _weights_beside(path: Path) -> dict[str, bytes]:
    """Read the files that hold a large graph's weights (ONNX's external data). ONNX Runtime by
    itself would map them, and one cut short while the app runs would end the process."""
    beside = (file for file in path.parent.iterdir() if file.name.startswith(f"{path.name}.data"))
    return {file.name: file.read_bytes() for file in beside}


def _cannot_run(engine: str, path: Path) -> QAError:
    return QAError(f"The engine {engine} cannot run {path} here; choose the engine {DEFAULT}.")


def out_of_memory(error: Exception) -> bool:
    """Say whether ONNX Runtime failed with this for want of memory; it has no type for that."""
    said = str(error)
    return isinstance(error, MemoryError) or "bad_alloc" in said or "allocate memory" in said


def options(threads: int | None = None, *, fits_16_bits: bool = False) -> ort.SessionOptions:
    """Return how any engine runs a graph on `threads` processors, by default all that may be used.
    `fits_16_bits` says of its INT8 weights that their products are right where `saturates`, too.
    """
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads or processors.usable()
    # Spinning threads take the processor from everything else between two windows.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Memory of a run comes from ONNX Runtime's arena, which keeps what a few windows need. Without
    # it glibc keeps far more: several visitors at once left it with a gigabyte in unused pieces.
    # Memory patterns would add a block for every new length (microsoft/onnxruntime#11627).
    settings.enable_mem_pattern = False
    if not fits_16_bits and saturates():
        # INT8 weights become uint8, whose products have 32 bits. ONNX Runtime 1.31 would do so
        # wherever it is told, at less than half the speed where VNNI or AMX make it needless.
        settings.add_session_config_entry("session.x64quantprecision", "1")
    settings.log_severity_level = 4  # `session` says what goes wrong
    return settings


@functools.cache
def saturates() -> bool:
    """Say whether ONNX Runtime's products of uint8 and int8 are wrong on this processor where the
    weights are large: without VNNI x86 adds two neighbouring ones in 16 bits, which saturate
    (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).

    The kernels themselves are asked, since they alone know what they make of a processor.
    """
    from onnx import TensorProto, helper, numpy_helper  # 0.1 s, which the bundled models never take

    depth = 64
    weights = numpy_helper.from_array(np.full((depth, 16), 127, np.int8), "weights")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["codes", "weights"], ["sums"])],
        "product",
        [helper.make_tensor_value_info("codes", TensorProto.UINT8, (16, depth))],
        [helper.make_tensor_value_info("sums", TensorProto.INT32, (16, 16))],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    product = ort.InferenceSession(
        model.SerializeToString(),
        options(1, fits_16_bits=True),  # as they come
        providers=[_PROVIDERS["cpu"]],
    )
    (sums,) = product.run(None, {"codes": np.full((16, depth), 255, np.uint8)})
    return bool((sums != depth * 255 * 127).any())


def _add_plugin(settings: ort.SessionOptions) -> None:
    """Have the OpenVINO plugin run what it can on the processor."""
    import onnxruntime_ep_openvino as plugin

    provider = _PROVIDERS["openvino"]
    with _registering:
        if not any(device.ep_name == provider for device in ort.get_ep_devices()):
            ort.register_execution_provider_library(_PLUGIN, plugin.get_library_path())
    devices = [
        device
        for device in ort.get_ep_devices()
        if device.ep_name == provider and device.ep_metadata.get("ov_device") == "CPU"
    ]
    # Answers are to be near those of the other engines: no bf16 where INT8 does not reach.
    precision = json.dumps({"CPU": {"INFERENCE_PRECISION_HINT": "f32"}})
    settings.add_provider_for_devices(devices, {"load_config": precision})
