"""What is said of the code holds: who imports whom, which files and which tests there are."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def imported(file: Path) -> set[str]:
    """Return the modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("qa/**/*.py", ("ui", "app", "gradio", "torch", "training")),
        ("ui/*.py", ("app", "onnxruntime", "training")),
        ("qa/spans.py", ("qa.session", "qa.reader")),
        ("qa/session.py", ("qa.reader",)),
        ("qa/windows.py", ("qa.session", "qa.spans", "qa.reader")),
        ("qa/openvino_ir/*.py", ("qa.reader", "qa.session", "openvino")),
    ],
)
def test_nothing_lower_imports_anything_higher(lower: str, higher: tuple[str, ...]) -> None:
    files = sorted(ROOT.glob(lower))
    assert files
    for file in files:
        for name in imported(file):
            assert not any(name == each or name.startswith(f"{each}.") for each in higher), file


def test_every_module_has_its_place_in_the_tour() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("\\_", "_")
    for package in ("qa", "ui"):
        told = readme.partition(f"| **{package}/** |")[2].partition("| **")[0]
        there = {file.name for file in ROOT.glob(f"{package}/*.py")} - {"__init__.py"}
        assert set(re.findall(r"\w+\.py", told)) - {"__init__.py"} == there, package


def test_every_test_that_is_promised_exists() -> None:
    tests = "".join(file.read_text(encoding="utf-8") for file in ROOT.glob("tests/**/*.py"))
    promised = re.findall(r"`(test_\w+)`", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))
    assert len(promised) > 20
    for name in promised:
        assert f"def {name}(" in tests, name
