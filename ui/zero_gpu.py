"""ZeroGPU Spaces start only apps that say which of their functions want a GPU. None here does; one
says so for form's sake, so that this app starts there as it does anywhere."""

from __future__ import annotations

import importlib
import importlib.util
import os


def announce() -> None:
    """Say it, on such a Space. To be called before Gradio is imported."""
    if os.environ.get("SPACES_ZERO_GPU") and importlib.util.find_spec("spaces"):
        importlib.import_module("spaces").GPU(_use_none)


def _use_none() -> None:
    """Do nothing, which takes no GPU."""
