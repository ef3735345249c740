"""Extractive question answering: question and passage in, the words that answer out."""

import os

# From 1.29 on, ONNX Runtime numbers whoever runs it and reports to its makers what runs, unless
# this is set before it is loaded. From here nothing leaves the machine.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from qa.catalog import ModelCard
from qa.errors import InputError, QAError
from qa.reader import Answer, Reader, Result

__all__ = ["Answer", "InputError", "ModelCard", "QAError", "Reader", "Result"]
