"""Models to spoil: bundled ones again, under other names."""

import json
import shutil
from pathlib import Path

from qa import catalog


def copy_of_the_model(folder: Path, name: str, bundled: str = catalog.DEFAULT) -> Path:
    """Copy a bundled model into `folder`; return the folder of the copy."""
    model = folder / name
    shutil.copytree(catalog.BUNDLED / bundled, model)
    card = json.loads((model / "model.json").read_text(encoding="utf-8"))
    card |= {"name": name, "aliases": []}
    (model / "model.json").write_text(json.dumps(card), encoding="utf-8")
    return model
