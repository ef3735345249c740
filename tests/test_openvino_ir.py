"""Converting an OpenVINO IR: the same codes as OpenVINO, open sizes, and one sentence for what is
not one.

The long forms need a path: VERBATIM_OMZ_SMALL names the .xml of
bert-small-uncased-whole-word-masking- squad-int8-0002 (its .bin may be missing: random weights are
made at its offsets).
"""

import os
import re
import resource
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from tokenizers import Tokenizer

from qa import engines
from qa.errors import QAError
from qa.openvino_ir import Conversion, convert
from tests import ir_agreement
from tests.ir_agreement import Stretch, stretches
from tests.ir_factory import Form, Writer, bert, random_weights

EQUAL = 0.999
SMALL = Form(width=512, inner=(512, 512, 512), heads=8, vocabulary=500, positions=512, sequence=96)
LARGE = Form(
    width=1024,
    inner=(4096,),
    heads=16,
    vocabulary=500,
    sequence=64,
    version=10,
    embeddings="f16",
    norm="decomposed",
    gelu="Erf",
    softmax="plain",
    per_channel=True,
    inputs=("result.1", "result.2", "result.3"),
    outputs=("5211", "5212"),
)
FORMS = {
    "authentic": SMALL,
    "large": LARGE,
    "MVN-1, ids of 32 bits, floats of 32": Form(version=10, norm="MVN-1", ids="i32", floats="f32"),
    "decomposed in float16": Form(norm="decomposed", gelu="Erf"),
    "zero points": Form(per_channel=True, zero_points=True),
    "255 levels": Form(levels=255),
    "signed": Form(signed=True),
    "signed, floats of 32 bits": Form(signed=True, floats="f32"),
    "weights behind FakeQuantize": Form(weights="FakeQuantize", per_channel=True, floats="f32"),
}


def agreement(xml: Path, converted: Path, vocabulary: int) -> None:
    """Fail where the two runtimes do not make the same codes of the same codes."""
    found = stretches(xml, converted, vocabulary)
    assert found
    assert [s for s in found if s.equal < EQUAL or s.furthest > 1] == []


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_codes_are_openvinos(form: Form, tmp_path: Path) -> None:
    if form == FORMS["signed"] and engines.saturates():
        pytest.skip("in floats, which are right here, OpenVINO takes float16 limits as they are")
    xml = bert(tmp_path, form)
    conversion = convert(xml, tmp_path / "out")
    agreement(xml, conversion.path, form.vocabulary)
    assert conversion.inputs == form.inputs
    assert conversion.outputs == form.outputs


@pytest.mark.parametrize(
    "part",
    [
        "layer.0.query.weight.scale",
        "layer.1.inner.2.weight.scale",
        "layer.0.value.bias",
        "layer.1.out.bias",
        "layer.0.context.codes",
        "layer.1.gelu.1.codes",
        "layer.0.middle.codes",
    ],
)
def test_comparison_notices_what_is_dropped(part: str, tmp_path: Path) -> None:
    form = Form()
    xml = bert(tmp_path / "whole", form)
    dropped = convert(bert(tmp_path / "dropped", replace(form, drop=part)), tmp_path / "out")
    with pytest.raises(AssertionError):
        agreement(xml, dropped.path, form.vocabulary)


def test_uint8_weights_become_the_same_int8(tmp_path: Path) -> None:
    """OpenVINO's own kernel rounds such weights, so the reference is the same network in int8."""
    form = Form(zero_points=True)
    signed = convert(bert(tmp_path / "i8", form), tmp_path / "a")
    unsigned = convert(bert(tmp_path / "u8", replace(form, weights="u8")), tmp_path / "b")
    feed = feed_of(signed, form.vocabulary, 1, 30)
    for a, b in zip(
        ir_agreement.run_onnx(signed.path, feed),
        ir_agreement.run_onnx(unsigned.path, feed),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("form", [Form(), Form(per_channel=True, zero_points=True)])
def test_loads_where_int8_products_saturate(
    form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There ONNX Runtime makes uint8 of the weights, and one model is as good as the other."""
    conversion = convert(bert(tmp_path, form), tmp_path / "out")
    feed = feed_of(conversion, form.vocabulary, 1, 30)
    here = ir_agreement.run_onnx(conversion.path, feed)
    monkeypatch.setattr(engines, "saturates", lambda: True)
    for mine, other in zip(here, ir_agreement.run_onnx(conversion.path, feed), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-4)


@pytest.mark.parametrize("softmax", ["flat", "plain"])
def test_any_batch_and_length(softmax: str, tmp_path: Path) -> None:
    """Up to the number of position embeddings; a row means the same whatever stands beside it."""
    form = Form(softmax=softmax)
    conversion = convert(bert(tmp_path, form), tmp_path / "out")
    for length in (1, 7, form.sequence, form.positions):
        feed = feed_of(conversion, form.vocabulary, 3, length)
        together = ir_agreement.run_onnx(conversion.path, feed)
        assert [array.shape for array in together] == [(3, length)] * 2
        alone = ir_agreement.run_onnx(conversion.path, {key: x[1:2] for key, x in feed.items()})
        for batch, row in zip(together, alone, strict=True):
            np.testing.assert_allclose(batch[1:2], row, atol=1e-4)


def test_frozen_position_embeddings_are_cut_to_the_length(tmp_path: Path) -> None:
    """At its own length an IR without position_ids gives OpenVINO's codes (above); here at
    others."""
    form = replace(LARGE, width=64, inner=(128,), heads=4, sequence=40)
    short = convert(bert(tmp_path / "whole", form), tmp_path / "out")
    for length in (1, 13, 40):
        feed = feed_of(short, form.vocabulary, 2, length)
        assert ir_agreement.run_onnx(short.path, feed)[0].shape == (2, length)


def test_padding_is_not_attended_to(tmp_path: Path) -> None:
    form = Form()
    conversion = convert(bert(tmp_path, form), tmp_path / "out")
    feed = feed_of(conversion, form.vocabulary, 1, 40)
    feed["attention_mask"][:, 25:] = 0
    longer = ir_agreement.run_onnx(conversion.path, feed)
    cut = ir_agreement.run_onnx(conversion.path, {key: x[:, :25] for key, x in feed.items()})
    for a, b in zip(longer, cut, strict=True):
        np.testing.assert_allclose(a[:, :25], b, atol=1e-4)


@pytest.mark.parametrize("form", [SMALL, LARGE], ids=["small", "large"])
def test_what_the_graph_is_made_of(form: Form, tmp_path: Path) -> None:
    xml = bert(tmp_path, form)
    conversion = convert(xml, tmp_path / "out")
    model = onnx.load(conversion.path)
    made = Counter(node.op_type for node in model.graph.node)
    assert made["QAttention"] == form.layers
    assert made["LayerNormalization"] == 2 * form.layers + 1
    assert made["Gelu"] == form.layers * len(form.inner)
    assert made["MatMulIntegerToFloat"] == form.layers * (2 + len(form.inner)) + 1
    assert not made.keys() & {"MatMul", "FusedMatMul", "Erf", "ReduceMean", "Softmax", "Transpose"}
    weights = xml.with_suffix(".bin").stat().st_size
    assert conversion.path.stat().st_size < 1.05 * weights
    assert conversion.seconds < 10


def test_large_models_keep_weights_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    form = Form()
    xml = bert(tmp_path, form)
    whole = convert(xml, tmp_path / "whole")
    monkeypatch.setattr("qa.openvino_ir.SELF_CONTAINED_BYTES", 1000)
    apart = convert(xml, tmp_path / "apart")
    assert (tmp_path / "apart" / "model.onnx.data").stat().st_size > 50_000
    feed = feed_of(whole, form.vocabulary, 2, 20)
    for a, b in zip(
        ir_agreement.run_onnx(whole.path, feed),
        ir_agreement.run_onnx(apart.path, feed),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    monkeypatch.undo()
    convert(xml, tmp_path / "apart")  # and no stale data stays beside a model that is whole
    assert [file.name for file in (tmp_path / "apart").iterdir()] == ["model.onnx"]


def test_vocabulary_becomes_a_tokenizer(tmp_path: Path) -> None:
    xml = bert(tmp_path, Form())
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "who", "lit", "##s", "caf", "##e", "?"]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    convert(xml, tmp_path / "out")
    tokenizer = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    pair = tokenizer.encode("Who lits?", "CAFÉ lit")
    assert pair.tokens == ["[CLS]", "who", "lit", "##s", "?", "[SEP]", "caf", "##e", "lit", "[SEP]"]
    assert pair.type_ids == [0] * 6 + [1] * 4
    assert tokenizer.truncation is None
    assert tokenizer.padding is None


def test_a_vocabulary_with_capitals_keeps_them(tmp_path: Path) -> None:
    xml = bert(tmp_path, Form())
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "Caf", "##é", "lit"]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    convert(xml, tmp_path / "out")
    tokenizer = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    assert tokenizer.encode("Café LIT", add_special_tokens=False).tokens == ["Caf", "##é", "[UNK]"]


# ------------------------------------------------------------------------------------------------
# What is not an IR: one sentence, and nothing left behind


def edit(xml: Path, pattern: str, replacement: str) -> None:
    text = xml.read_text()
    edited, count = re.subn(pattern, replacement, text, count=1)
    assert count == 1
    xml.write_text(edited)


EDITS = {
    "entities": (r"^<\?xml[^>]*>", '<!DOCTYPE net [<!ENTITY a "aaaa">]>', "document type"),
    "an external entity": (
        r"^<\?xml[^>]*>",
        '<!DOCTYPE net SYSTEM "file:///etc/passwd">',
        "document",
    ),
    "another version": (r'version="11"', 'version="9"', "version 10 or 11"),
    "not XML": (r"</layers>", "", "well-formed"),
    "an unknown encoding": (
        r"^<\?xml[^>]*>",
        '<?xml version="1.0" encoding="foo"?>',
        "well-formed",
    ),
    "an encoding of several bytes": (
        r"^<\?xml[^>]*>",
        '<?xml version="1.0" encoding="shift_jis"?>',
        "well-formed",
    ),
    "a negative offset": (r'offset="\d+"', 'offset="-8"', "a whole number"),
    "a huge offset": (r'offset="\d+"', 'offset="9999999999999"', "whole number"),
    "an offset behind the end": (r'offset="\d+"', 'offset="99999999"', "fetch the .bin again"),
    "a wrong size": (r'size="\d+"', 'size="3"', "its shape"),
    "a huge shape": (r'shape="100, 64"', 'shape="99999999, 99999999"', "its shape"),
    "a negative shape": (r'shape="100, 64"', 'shape="-100, -64"', "whole number"),
    "a wrong shape": (r'shape="100, 64"', 'shape="64, 100"', "shape"),
    "another port's shape": (r"(?s)(names=\"words\".*?<dim>)48", r"\g<1>47", "shape"),
    "an unknown type of number": (r'element_type="i8"', 'element_type="u4"', "“u4”"),
    "an unknown operation": (r'type="Gelu"', 'type="Einsum"', r"Einsum layer “layer.0.gelu.0”"),
    "an edge from nowhere": (r'from-layer="\d+"', 'from-layer="99999"', "does not exist"),
    "an edge from no port": (r'from-port="\d+"', 'from-port="77"', "does not exist"),
    "an edge to nowhere": (r'to-layer="\d+"', 'to-layer="99999"', "does not exist"),
    "an edge too few": (r"<edge [^>]*>", "", "No edge"),
    "two layers of one id": (r'<layer id="1"', '<layer id="0"', "the id 0"),
    "no levels": (r'levels="256"', 'levels="0"', "levels"),
    "many levels": (r'levels="256"', 'levels="1024"', "levels"),
    "words for numbers": (r'eps="[^"]*"', 'eps="small"', "eps"),
}


@pytest.mark.parametrize(("pattern", "replacement", "says"), EDITS.values(), ids=EDITS.keys())
def test_hostile_xml(pattern: str, replacement: str, says: str, tmp_path: Path) -> None:
    xml = bert(tmp_path / "ir", Form())
    edit(xml, pattern, replacement)
    assert says in refusal(xml, tmp_path)


def test_cycle(tmp_path: Path) -> None:
    xml = bert(tmp_path / "ir", Form())
    tree = ElementTree.parse(xml)
    ids = {layer.get("name"): layer.get("id") for layer in tree.iterfind("layers/layer")}
    for edge in tree.iterfind("edges/edge"):
        if edge.get("to-layer") == ids["layer.0.attended"] and edge.get("to-port") == "0":
            edge.set("from-layer", str(ids["layer.0.total"]))
            edge.set("from-port", "2")
    tree.write(xml)
    assert "cycle" in refusal(xml, tmp_path)


def test_truncated_and_missing_bin(tmp_path: Path) -> None:
    xml = bert(tmp_path / "ir", Form())
    weights = xml.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "fetch the .bin again" in refusal(xml, tmp_path)
    weights.write_bytes(b"")
    assert "fetch the .bin again" in refusal(xml, tmp_path)
    weights.unlink()
    assert "There is no file" in refusal(xml, tmp_path)


def test_entity_bomb_costs_nothing(tmp_path: Path) -> None:
    xml = bert(tmp_path / "ir", Form())
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 30))
    document = f'<!DOCTYPE net [<!ENTITY e0 "x">{entities}]><net version="11">&e29;</net>'
    xml.write_text(document)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "document type" in refusal(xml, tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_many_elements_and_long_chains(tmp_path: Path) -> None:
    xml = bert(tmp_path / "ir", Form())
    text = xml.read_text()
    xml.write_text(text.replace("<layers>", "<layers>" + "<x/>" * 600_000))
    assert "elements" in refusal(xml, tmp_path)
    # a chain of layers longer than Python's stack, all of them constant
    links = range(10_000, 13_000)
    chain = "".join(
        f'<layer id="{i}" name="c{i}" type="Sqrt"><input><port id="0"/></input>'
        '<output><port id="1" precision="FP32"/></output></layer>'
        for i in links
    )
    first = (
        '<layer id="9999" name="c" type="Const">'
        '<data element_type="f32" shape="" offset="0" size="4"/>'
        '<output><port id="1" precision="FP32"/></output></layer>'
    )
    edges = "".join(
        f'<edge from-layer="{i - 1}" from-port="1" to-layer="{i}" to-port="0"/>' for i in links
    )
    penalty = re.search(r'<layer id="(\d+)" name="padding.penalty" ', text)
    assert penalty is not None
    number = penalty[1]
    text = re.sub(rf'from-layer="{number}" from-port="1"', 'from-layer="12999" from-port="1"', text)
    xml.write_text(
        text.replace("<layers>", f"<layers>{first}{chain}").replace("<edges>", f"<edges>{edges}")
    )
    convert(
        xml, tmp_path / "out"
    )  # slow would be a hang; a penalty of zero is its author's business


def test_constants_read_over_and_over(tmp_path: Path) -> None:
    """Forty tables of the same 4 MB are not written forty times."""
    writer = Writer()
    shape = (1, 8)
    ids = writer.one("Parameter", "ids", [], shape, "i64", shape="1,8", element_type="i64")
    axis = writer.constant("axis", 0, "i64")
    total = None
    for number in range(40):
        del writer.blob[8:]  # so that every table starts behind the axis
        table = writer.constant(f"table.{number}", np.zeros((5000, 200)), "f32")
        rows = writer.one("Gather", f"rows.{number}", [table, ids, axis], (*shape, 200))
        name = f"total.{number}"
        total = writer.one("Add", name, [total, rows], rows.shape) if total else rows
    assert total is not None
    writer.layer("Result", "out", [total])
    assert "many times its .bin" in refusal(writer.save(tmp_path / "ir"), tmp_path)


def test_bad_vocabulary_leaves_nothing(tmp_path: Path) -> None:
    xml = bert(tmp_path / "ir", Form())
    (tmp_path / "ir" / "vocab.txt").write_bytes(b"\xff\xfe\x00")
    assert "vocab" in refusal(xml, tmp_path)


def refusal(xml: Path, tmp_path: Path) -> str:
    """The one sentence with which `xml` is refused; nothing stays behind."""
    before = sorted(tmp_path.iterdir())
    with pytest.raises(QAError) as error:
        convert(xml, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before
    sentence = str(error.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def feed_of(
    conversion: Conversion, vocabulary: int, batch: int, length: int
) -> dict[str, ir_agreement.Array]:
    random = np.random.default_rng(length)
    shape = (batch, length)
    arrays = (
        random.integers(0, vocabulary, shape),
        np.ones(shape, np.int64),
        random.integers(0, 2, shape),
        np.broadcast_to(np.arange(length), shape),
    )
    return dict(zip(conversion.inputs, arrays, strict=False))


# ------------------------------------------------------------------------------------------------
# Long forms


@dataclass(frozen=True)
class Measured:
    seconds: float
    megabytes: float  # of memory at its highest
    bytes: int  # of all files written


def measured(xml: Path, out: Path) -> Measured:
    """Convert in a process of its own."""
    script = (
        "import resource, sys; from pathlib import Path; from qa.openvino_ir import convert;"
        "seconds = convert(Path(sys.argv[1]), Path(sys.argv[2])).seconds;"
        "print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    command = [sys.executable, "-c", script, str(xml), str(out)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    size = sum(file.stat().st_size for file in out.iterdir())
    return Measured(float(printed[0]), float(printed[1]), size)


def report(name: str, recorded: Measured, found: list[Stretch]) -> None:
    least = min(found, key=lambda stretch: stretch.equal)
    print(f"{name}: {recorded}, {len(found)} stretches, least equal {least}")  # noqa: T201


@pytest.mark.long
def test_authentic_small(tmp_path: Path) -> None:
    if "VERBATIM_OMZ_SMALL" not in os.environ:
        pytest.skip("VERBATIM_OMZ_SMALL does not name the .xml of bert-small")
    xml = random_weights(Path(os.environ["VERBATIM_OMZ_SMALL"]), tmp_path)
    recorded = measured(xml, tmp_path / "out")
    assert recorded.seconds < 10
    assert recorded.megabytes < 400
    assert recorded.bytes < 1.05 * xml.with_suffix(".bin").stat().st_size
    found = stretches(xml, tmp_path / "out" / "model.onnx", 30522)
    assert len(found) == 97
    assert [s for s in found if s.equal < EQUAL or s.furthest > 1] == []
    report("small", recorded, found)


@pytest.mark.long
def test_large(tmp_path: Path) -> None:
    form = replace(LARGE, layers=24, vocabulary=30522, sequence=384)
    xml = bert(tmp_path, form)
    recorded = measured(xml, tmp_path / "out")
    assert recorded.seconds < 60
    assert recorded.megabytes < 1500
    assert recorded.bytes < 1.05 * xml.with_suffix(".bin").stat().st_size
    found = stretches(xml, tmp_path / "out" / "model.onnx", form.vocabulary)
    assert [s for s in found if s.equal < EQUAL or s.furthest > 1] == []
    report("large", recorded, found)
