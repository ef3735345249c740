"""OpenVINO IR -> ONNX: a model folder's model.onnx and tokenizer.json out of an .xml, its .bin and
its vocab.txt.

For the BERT family in INT8, IR versions 10 and 11, with `onnx` and numpy alone. Weights stay the
int8 they are; the size an IR is frozen at becomes an open batch and sequence; names of inputs and
outputs stay. What is not known stops the conversion with one sentence, and nothing half-written
stays behind.

    graph       read the two files, trusting nothing
    network     who reads whom, what is constant
    patterns    weights, norms, Gelus, linear layers ...
    attention   ... and attention, each as one operation
    shapes      the open sizes, for ...
    inference   ... the shape of every value
    emitter     operations -> ONNX nodes
    file        nodes -> files
"""

import re
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tokenizers import BertWordPieceTokenizer

from qa.errors import QAError
from qa.openvino_ir.emitter import Emitter
from qa.openvino_ir.file import OnnxFile
from qa.openvino_ir.graph import Graph, IRError, read
from qa.openvino_ir.patterns import recognise

# Above this the weights go into a file beside model.onnx: protobuf ends at 2 GB, and is held in
# memory whole.
SELF_CONTAINED_BYTES = 95_000_000


@dataclass(frozen=True)
class Conversion:
    path: Path  # of model.onnx
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    seconds: float


def convert(xml: Path, out_dir: Path) -> Conversion:
    """Write `out_dir`/model.onnx (and model.onnx.data if it is large, and tokenizer.json if there
    is a vocab.txt beside `xml`), replacing files of these names.

    Raises:
        QAError: one sentence on what is wrong with the files, or not known of their operations.
    """
    start = time.perf_counter()
    graph = read(xml)
    try:
        out_dir.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".converting-", dir=out_dir.parent))
        try:
            _write_model(graph, xml.with_suffix(".bin").stat().st_size, folder)
            if (vocabulary := xml.with_name("vocab.txt")).is_file():
                _write_tokenizer(vocabulary, folder)
            _put(folder, out_dir)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise QAError(f"{out_dir} could not be written: {error.strerror or error}.") from error
    return Conversion(
        path=out_dir / "model.onnx",
        inputs=tuple(graph.inputs.values()),
        outputs=tuple(graph.outputs.values()),
        seconds=time.perf_counter() - start,
    )


def _write_model(graph: Graph, weight_bytes: int, folder: Path) -> None:
    file = OnnxFile(folder, external=weight_bytes > SELF_CONTAINED_BYTES)
    # Float16 norms and biases become float32; a model many times its weights is not a BERT.
    emitter = Emitter(recognise(graph), file, budget=3 * weight_bytes + (64 << 20))
    emitter.emit(graph.inputs, graph.outputs)
    file.save()


def _write_tokenizer(vocabulary: Path, folder: Path) -> None:
    """[CLS] question [SEP] passage [SEP] with types 0 and 1; neither cut nor padded, which is the
    reader's part. Texts are lower-cased unless the vocabulary has capitals."""
    try:
        words = vocabulary.read_text(encoding="utf-8").split("\n")
        cased = any(re.search("[A-Z]", word) for word in words if not word.startswith("["))
        tokenizer = BertWordPieceTokenizer(str(vocabulary), lowercase=not cased)
    except Exception as error:  # the library raises bare Exceptions
        raise IRError(f"{vocabulary} is not a BERT vocabulary: {error}.") from error
    tokenizer.save(str(folder / "tokenizer.json"))


def _put(folder: Path, out_dir: Path) -> None:
    """Every file of `folder` in place by a rename, model.onnx last; a new `out_dir` by one
    rename."""
    if not out_dir.exists():
        folder.chmod(out_dir.parent.stat().st_mode & 0o755)  # nobody else writes, not even in /tmp
        folder.rename(out_dir)
        return
    (out_dir / "model.onnx.data").unlink(missing_ok=True)
    for file in sorted(folder.iterdir(), key=lambda file: file.name == "model.onnx"):
        file.replace(out_dir / file.name)
