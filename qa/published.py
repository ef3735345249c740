"""The models that can be fetched, as data: where they are published, and what their publisher says
of them.

Nothing is fetched here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a published model: its path below the model's address, its size in bytes and its
    SHA-384 in hexadecimal."""

    path: str
    size: int
    sha384: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Published:
    """A model that can be fetched as OpenVINO IR, as its publisher describes it.

    `inputs` are the roles of what the graph reads; `files` are listed by precision, the default
    first. The accuracy is the publisher's figure, in percent, nobody else's.
    """

    name: str
    url: str
    title: str
    description: str
    base_model: str
    licence: str
    parameters: int
    gops_384: float
    exact_match: float
    f1: float
    inputs: tuple[str, ...]
    files: Mapping[str, tuple[RemoteFile, ...]]
    aliases: tuple[str, ...] = ()

    @property
    def precision(self) -> str:
        """The precision fetched where none is asked for."""
        return next(iter(self.files))

    def card(self) -> dict[str, Any]:
        """Return what its model.json says whichever files it was made from."""
        return {
            "name": self.name,
            "aliases": list(self.aliases),
            "title": self.title,
            "description": self.description,
            "base_model": self.base_model,
            "licenses": [{"what": "model", "license": self.licence}],
            "parameters": self.parameters,
            "gops_384": self.gops_384,
            "special_tokens": {"cls": "[CLS]", "sep": "[SEP]", "question_separators": 1},
            "max_sequence": 384,
            "max_question": 64,
            "temperature": 1.0,
            "metrics": [
                {
                    "precision": "int8",
                    "dataset": "all of SQuAD v1.1 dev (the publisher's figures)",
                    "exact_match": self.exact_match,
                    "f1": self.f1,
                }
            ],
            "files": {},
        }


_OPEN_MODEL_ZOO = (
    "https://storage.openvinotoolkit.org/repositories/open_model_zoo/2023.0/models_bin/1/"
)
_BERT_VOCABULARY = RemoteFile(
    "vocab.txt",
    231_508,
    "ef26234c552cb23207a4bed2376a06eecf1d09ed00018519755df0e57551c2e5"
    "5bc97e1877b0029e08b0cebdc65b0c82",
)

PUBLISHED = (
    Published(
        name="bert-small-uncased-whole-word-masking-squad-int8-0002",
        url=_OPEN_MODEL_ZOO + "bert-small-uncased-whole-word-masking-squad-int8-0002",
        title="BERT-small SQuAD INT8 (Open Model Zoo)",
        description="A small BERT distilled from BERT-large on SQuAD v1.1 and trained in INT8.",
        base_model="BERT-large uncased, whole word masking",
        licence="Apache-2.0",
        parameters=41_100_000,
        gops_384=23.9,
        exact_match=84.4,
        f1=91.4,
        inputs=("input_ids", "attention_mask", "token_type_ids", "position_ids"),
        files={
            "FP16-INT8": (
                RemoteFile(
                    "FP16-INT8/bert-small-uncased-whole-word-masking-squad-int8-0002.xml",
                    1_161_367,
                    "6bcde8dec5d4eafce499b3d762b36ba3150eaa5a6cc697f23e17f93ce3115919"
                    "99069620325de84f8296baa8790db41f",
                ),
                _BERT_VOCABULARY,
                RemoteFile(
                    "FP16-INT8/bert-small-uncased-whole-word-masking-squad-int8-0002.bin",
                    41_207_550,
                    "e8c5895b23620598cda06f7915a54cb587166f8dc51edc6588d5c15416be15fb"
                    "e572e573e75c568f95d88e76f8f82390",
                ),
            ),
            "FP32-INT8": (
                RemoteFile(
                    "FP32-INT8/bert-small-uncased-whole-word-masking-squad-int8-0002.xml",
                    818_741,
                    "f9f2450e965e83b1347acb5a97e673821755832143c159d8f9e9040c7df78f3d"
                    "d9b397a1b3e832edd586df1aed23ea27",
                ),
                _BERT_VOCABULARY,
                RemoteFile(
                    "FP32-INT8/bert-small-uncased-whole-word-masking-squad-int8-0002.bin",
                    41_357_660,
                    "84817638ddd11f35eebd965b5ccf675d3696fe607d05fc8ed35ae43230531322"
                    "7506021a50deeee4404512c4139cb0da",
                ),
            ),
        },
    ),
    Published(
        name="bert-large-uncased-whole-word-masking-squad-int8-0001",
        # What its publisher called it before release 2020.4.
        aliases=("bert-large-uncased-whole-word-masking-squad-int8-onnx-0001",),
        url=_OPEN_MODEL_ZOO + "bert-large-uncased-whole-word-masking-squad-int8-0001",
        title="BERT-large SQuAD INT8 (Open Model Zoo)",
        description="BERT-large fine-tuned on SQuAD v1.1 and trained in INT8.",
        base_model="BERT-large uncased, whole word masking",
        licence="Apache-2.0",
        parameters=333_960_000,
        gops_384=246.93,
        exact_match=86.36,
        f1=92.60,
        inputs=("input_ids", "attention_mask", "token_type_ids"),
        files={
            "FP16-INT8": (
                RemoteFile(
                    "FP16-INT8/bert-large-uncased-whole-word-masking-squad-int8-0001.xml",
                    2_080_148,
                    "445c5b895d5387c0383ba91c73ade1a9c32053ffeccc0787f4ca0327d8efef17"
                    "b62ffdca5f6438fff7ee741cf4342ebe",
                ),
                _BERT_VOCABULARY,
                RemoteFile(
                    "FP16-INT8/bert-large-uncased-whole-word-masking-squad-int8-0001.bin",
                    366_197_964,
                    "16c57b0a56e577b87486559b94303d027201fb799010c22f89f020f34f41af06"
                    "11220ac4f4a5cd207375184a9cec8e63",
                ),
            ),
            "FP32-INT8": (
                RemoteFile(
                    "FP32-INT8/bert-large-uncased-whole-word-masking-squad-int8-0001.xml",
                    1_446_451,
                    "0f6516af3cc7568ff6a095d88e02ea1361991d5491b802a3f94746664f6d5a46"
                    "e41d97c0924377bb0abb5a373c8191b0",
                ),
                _BERT_VOCABULARY,
                RemoteFile(
                    "FP32-INT8/bert-large-uncased-whole-word-masking-squad-int8-0001.bin",
                    430_403_856,
                    "3db1be1d6d681f3bd5b92059793a7c38497de5047f424f365538f54be4a2d163"
                    "fc73bcd11b4fbee1e682b862298f79b4",
                ),
            ),
        },
    ),
)


def find(name: str) -> Published | None:
    """Return the model that is published under this name or was under this alias."""
    return next((entry for entry in PUBLISHED if name in (entry.name, *entry.aliases)), None)
