"""Extractive question answering: question and passage in, the words that answer out."""

from qa.catalog import ModelCard
from qa.errors import InputError, QAError
from qa.reader import Answer, Reader, Result

__all__ = ["Answer", "InputError", "ModelCard", "QAError", "Reader", "Result"]
