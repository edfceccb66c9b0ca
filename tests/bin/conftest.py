"""Runs the programs as their console scripts do, in this process."""

import contextlib
import dataclasses
import functools
import io
import json
import sys
from pathlib import Path

import pytest
from absl.testing import flagsaver

from tatl_keras.bin import (
    cache,
    certify,
    client,
    compare,
    encode,
    evaluate,
    explain,
    export,
    init,
    predict,
    pretrain,
    release,
    rethink,
    train,
    zoo,
)
from tatl_keras.bin import trained as trained_runs
from tatl_keras.data import synthetic

# Imported before any flag is saved: `flagsaver` forgets flags that are defined while it is on.
PROGRAMS = {
    "train": train,
    "encode": encode,
    "evaluate": evaluate,
    "predict": predict,
    "export": export,
    "init": init,
    "zoo": zoo,
    "cache": cache,
    "certify": certify,
    "client": client,
    "compare": compare,
    "explain": explain,
    "release": release,
    "rethink": rethink,
    "pretrain": pretrain,
}
CLASSES = 3
EXAMPLES = 60


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a program ended."""

    status: int
    out: str
    err: str


def run_program(name, *words):
    """Runs `tatl-<name>` with flags at their defaults before and after."""
    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = [f"tatl-{name}", *map(str, words)]
    with contextlib.ExitStack() as stack:
        stack.callback(setattr, sys, "argv", argv)
        stack.enter_context(flagsaver.flagsaver())
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        with pytest.raises(SystemExit) as ended:
            PROGRAMS[name].run()
    return Outcome(ended.value.code or 0, out.getvalue(), err.getvalue())


def succeed(name, *words):
    """As `run_program`, for a program that must not fail."""
    outcome = run_program(name, *words)
    assert outcome.status == 0, outcome.out[-2000:] + outcome.err[-3000:]
    return outcome


def read_json(*parts):
    return json.loads(Path(*parts).read_text(encoding="utf-8"))


def read_lines(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def load_once():
    """`load_model` of the programs, once for each path."""
    return functools.cache(trained_runs.load_model)


@pytest.fixture
def models_loaded_once(load_once, monkeypatch):
    """Lets programs share loaded models: to load and trace one takes longer than to ask it."""
    monkeypatch.setattr(trained_runs, "load_model", lambda path: load_once(str(path)))


@pytest.fixture(scope="session")
def manifest(tmp_path_factory):
    """60 pictures of three classes, six of them without text; no column of splits."""
    folder = tmp_path_factory.mktemp("data")
    return Path(synthetic.write_manifest(str(folder), CLASSES, EXAMPLES))


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory):
    """The workdir of `tatl-train --smoke`; tests must not change it."""
    workdir = tmp_path_factory.mktemp("runs") / "smoke"
    succeed("train", "--smoke", f"--workdir={workdir}")
    return workdir


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory):
    """The workdir of `tatl-pretrain --smoke`, of the last block; tests must not change it."""
    workdir = tmp_path_factory.mktemp("runs") / "pretrained"
    flags = ["--bidirectional", "--unfreeze_last_n=1", "--sampler=greedy", "--max_length=4"]
    outcome = succeed("pretrain", "--smoke", f"--workdir={workdir}", *flags)
    (workdir / ".printed").write_text(outcome.out, encoding="utf-8")
    return workdir


@pytest.fixture(scope="session")
def trained(manifest, tmp_path_factory):
    """The workdir of a finished run with a validation split; tests must not change it."""
    workdir = tmp_path_factory.mktemp("runs") / "pets"
    outcome = succeed(
        "train",
        "--model=test_efficientnet_bert_concat",
        f"--data={manifest}",
        f"--workdir={workdir}",
        "--validation_split=validation",
        "--epochs=4",
        "--learning_rate=0.001",
    )
    (workdir / ".printed").write_text(outcome.out, encoding="utf-8")
    return workdir
