"""Training on a tiny slice: the loss falls, and stopping leaves no trace."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from training import train
from training.encoder import Encoder
from training.trainer import FROZEN, Recipe, fastest_dtype

Make = Callable[[str], Path]


def arguments(base: Path, squad: Path, out: Path, **changes: object) -> list[str]:
    settings = {
        "base": base,
        "data": squad,
        "out": out,
        "rate": 5e-3,
        "warmup": 2000,
        "ema": 5000,
        "batch-tokens": 800,
        "longest": 120,
        "log-steps": 1,
        "threads": 1,
        "epochs": 1,
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    return [f"--{name}={value}" for name, value in settings.items()]


def curve(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def checkpoint(out: Path) -> dict[str, object]:
    return torch.load(max(out.glob("checkpoint-*.pt")), weights_only=True)


def assert_same(left: object, right: object) -> None:
    """Equal to the last bit, through dicts and lists."""
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_same(left[key], right[key])
    elif isinstance(left, list | tuple):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)
    elif isinstance(left, torch.Tensor):
        assert torch.equal(left, right)
    else:
        assert left == right


@pytest.mark.parametrize(("family", "dtype"), [("bert", "bf16"), ("mpnet", "fp32")])
def test_loss_falls(family: str, dtype: str, base: Make, squad: Path, tmp_path: Path) -> None:
    changes = {"epochs": 10, "unanswerable": 1, "dtype": dtype}
    train.main(arguments(base(family), squad, tmp_path / "out", **changes))
    lines = curve(tmp_path / "out")
    first, last = lines[:4], lines[-4:]
    for part in ("loss_answered", "loss_unanswered"):
        before, after = (sum(line[part] for line in some) for some in (first, last))
        assert after < 0.6 * before
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))


@pytest.mark.parametrize(("family", "dtype"), [("bert", "fp32"), ("mpnet", "bf16")])
def test_stopping_leaves_no_trace(
    family: str, dtype: str, base: Make, squad: Path, tmp_path: Path
) -> None:
    folder = base(family)
    train.main(arguments(folder, squad, tmp_path / "whole", epochs=3, dtype=dtype))
    for epochs in (1, 2, 3):
        train.main(arguments(folder, squad, tmp_path / "parts", epochs=epochs, dtype=dtype))
    assert_same(checkpoint(tmp_path / "parts"), checkpoint(tmp_path / "whole"))
    models = [load_file(tmp_path / n / "model/model.safetensors") for n in ("parts", "whole")]
    assert_same(*models)


def test_signal_stops_with_a_checkpoint_that_goes_on(
    base: Make, squad: Path, tmp_path: Path
) -> None:
    folder, out, pid = base("mpnet"), tmp_path / "out", tmp_path / "train.pid"
    command = arguments(folder, squad, out, epochs=100000, pid_file=pid)
    process = subprocess.Popen(
        [sys.executable, "-m", "training.train", *command], stdout=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 120
        while not (out / "log.jsonl").exists() or len(curve(out)) < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with pytest.raises(ValueError, match="Another run is writing to"):
            train.main(command)
        os.kill(int(pid.read_text()), signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
    assert not pid.exists()
    stopped = checkpoint(out)["trainer"]
    assert stopped["step"] == curve(out)[-1]["step"] >= 3

    epochs = stopped["position"][0] + 1
    train.main(arguments(folder, squad, out, epochs=epochs))
    train.main(arguments(folder, squad, tmp_path / "whole", epochs=epochs))
    assert_same(checkpoint(out), checkpoint(tmp_path / "whole"))


def test_saved_model_is_the_average_of_the_weights(base: Make, squad: Path, tmp_path: Path) -> None:
    folder, out = base("bert"), tmp_path / "out"
    train.main(arguments(folder, squad, out))
    average = checkpoint(out)["trainer"]["average"]
    saved, start = Encoder.from_pretrained(out / "model"), Encoder.from_pretrained(folder)
    assert (out / "model/tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
    for name, weight in saved.state_dict().items():
        frozen = name.startswith(FROZEN)
        assert torch.equal(weight, start.state_dict()[name] if frozen else average[name])
    moved = checkpoint(out)["trainer"]["master"]
    assert not torch.equal(average["span.weight"], moved["span.weight"])


def test_layers_below_stay_as_they_are(base: Make, squad: Path, tmp_path: Path) -> None:
    folder, out = base("mpnet"), tmp_path / "out"
    train.main(arguments(folder, squad, out, from_layer=1))
    start = Encoder.from_pretrained(folder).state_dict()
    for name, weight in Encoder.from_pretrained(out / "model").state_dict().items():
        trained = name.startswith(("layers.1.", "span."))
        assert torch.equal(weight, start[name]) != trained, name
    with pytest.raises(ValueError, match="was made with from_layer 1, not 0"):
        train.main(arguments(folder, squad, out))
    with pytest.raises(ValueError, match="has layers from 0 to 1"):
        train.main(arguments(folder, squad, out, from_layer=3))


def test_computes_in_what_is_said(base: Make, squad: Path, tmp_path: Path) -> None:
    folder = base("bert")
    heads = {}
    for dtype in ("bf16", "fp32", None):
        out = tmp_path / str(dtype)
        train.main(arguments(folder, squad, out, **({"dtype": dtype} if dtype else {})))
        heads[dtype] = checkpoint(out)["trainer"]["master"]["span.weight"]
    assert not torch.equal(heads["bf16"], heads["fp32"])
    fastest = "bf16" if fastest_dtype() == torch.bfloat16 else "fp32"
    assert torch.equal(heads[None], heads[fastest])


@pytest.mark.parametrize(
    ("has", "dtype"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_bf16": False, "avx512_vnni": True}, torch.float32),
        ({"architecture": "aarch64"}, torch.float32),
    ],
)
def test_bf16_where_the_processor_multiplies_it(
    has: dict[str, object], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert fastest_dtype() == dtype


def test_two_checkpoints_are_kept(base: Make, squad: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    train.main(arguments(base("bert"), squad, out, epochs=2, save_minutes=0))
    assert len(list(out.glob("checkpoint*"))) == 2
    assert checkpoint(out)["trainer"]["tokens"] == curve(out)[-1]["tokens"]


def test_lines_after_the_checkpoint_are_dropped_from_the_log(
    base: Make, squad: Path, tmp_path: Path
) -> None:
    """As after a crash, which loses the steps since the last checkpoint."""
    folder, out = base("bert"), tmp_path / "out"
    train.main(arguments(folder, squad, out, epochs=1))
    steps = len(curve(out))
    with (out / "log.jsonl").open("a") as log:
        log.write(json.dumps({"step": steps + 1, "loss": 0.0}) + "\n")
        log.write('{"st')  # cut off
    train.main(arguments(folder, squad, out, epochs=2))
    lines = curve(out)
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    assert all(line["loss"] > 0 for line in lines)


def test_what_cannot_be_trained_is_refused(base: Make, squad: Path, tmp_path: Path) -> None:
    folder = base("bert")
    with pytest.raises(ValueError, match="reads 402 tokens at most: give a smaller --longest"):
        train.main(arguments(folder, squad, tmp_path / "out", longest=401))
    titles = tmp_path / "titles.txt"
    titles.write_text("An article of another file\n")
    with pytest.raises(ValueError, match="None of the articles to leave out"):
        train.main(arguments(folder, squad, tmp_path / "out", exclude_titles=titles))


def test_other_data_is_refused(base: Make, squad: Path, tmp_path: Path) -> None:
    folder, out = base("bert"), tmp_path / "out"
    train.main(arguments(folder, squad, out))
    with pytest.raises(ValueError, match="was made with batch_tokens 800, not 600"):
        train.main(arguments(folder, squad, out, batch_tokens=600))
    other = tmp_path / "other.json"
    other.write_text(squad.read_text().replace("granite", "marble"))
    with pytest.raises(ValueError, match="was made with questions"):
        train.main(arguments(folder, other, out))
    weights = folder / "model.safetensors"
    tensors = {name: tensor + 1 for name, tensor in load_file(weights).items()}
    save_file(tensors, weights)
    with pytest.raises(ValueError, match="was made with base"):
        train.main(arguments(folder, squad, out))


def test_cooldown_ends_the_run(base: Make, squad: Path, tmp_path: Path) -> None:
    folder, out = base("bert"), tmp_path / "out"
    train.main(arguments(folder, squad, out, epochs=2))
    before = checkpoint(out)["trainer"]["tokens"]
    train.main(arguments(folder, squad, out, cooldown=4000))
    lines = [line for line in curve(out) if line["tokens"] > before]
    rates = [line["rate"] for line in lines]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 0
    assert before + 4000 <= lines[-1]["tokens"] < before + 4000 + 800
    train.main(arguments(folder, squad, out, cooldown=4000))  # is over already
    assert checkpoint(out)["trainer"]["step"] == lines[-1]["step"]


def test_rate() -> None:
    recipe = Recipe(rate=1.0, warmup=100)
    assert recipe.rate_at(50, None) == 0.5
    assert recipe.rate_at(10**9, None) == 1.0
    assert recipe.rate_at(1000, (1000, 400)) == 1.0
    assert recipe.rate_at(1100, (1000, 400)) == 0.5
    assert recipe.rate_at(2000, (1000, 400)) == 0.0


def test_average_forgets_the_untrained_weights(base: Make, squad: Path, tmp_path: Path) -> None:
    """Early on it spans a quarter of the tokens seen, whatever --ema says."""
    folder, out = base("bert"), tmp_path / "out"
    train.main(arguments(folder, squad, out, ema=1e12))
    state = checkpoint(out)["trainer"]
    for name, start in Encoder.from_pretrained(folder).state_dict().items():
        if name.startswith("layers") and name.endswith("weight"):
            average, now = state["average"][name], state["master"][name]
            assert (average - now).norm() < (average - start).norm()
