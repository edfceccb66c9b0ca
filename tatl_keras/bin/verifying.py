"""What `tatl-zoo verify` does: proofs of many entries, in several processes."""

import concurrent.futures
import os
import subprocess
import sys
import time

from absl import app, flags

import tatl_keras
from tatl_keras.bin import common

ALL = flags.DEFINE_bool(
    "all",
    False,
    "Let verify go through all models; of large ones, without what needs weights.",
)
LARGE = flags.DEFINE_bool(
    "large", False, "Let verify go through the large models, too, with random weights."
)
CHECK = flags.DEFINE_bool(
    "check_written", False, "Let verify compare with the proofs.json that are there, not write."
)
PROOFS = flags.DEFINE_list("proofs", None, "What verify proves; everything, if not given.")
PROCESSES = flags.DEFINE_integer(
    "processes", 2, "How many models verify works on at once.", lower_bound=1
)
_SMOKE_MODEL = "test_efficientnet_bert_concat"


def verify(*patterns):
    """Verifies models by name or pattern; returns the exit status."""
    if common.SMOKE.value:
        return _here([_SMOKE_MODEL], written=False)
    jobs = _jobs(patterns)
    _say_what_commit()
    _check_output()
    if PROCESSES.value == 1 or len(jobs) == 1:
        names = [name for job, _ in jobs for name in job]
        if len({proofs for _, proofs in jobs}) == 1:
            return _here(names, proofs=jobs[0][1])
    with concurrent.futures.ThreadPoolExecutor(PROCESSES.value) as threads:
        statuses = list(threads.map(_there, jobs))
    print("Some proofs failed." if any(statuses) else "All proofs passed.")
    return int(any(statuses))


def _jobs(patterns):
    """What processes are to do: pairs of names, and proofs or `None` for all. Long ones first."""
    from tatl_keras.training.proofs import WITHOUT_WEIGHTS

    if not patterns and not ALL.value and not LARGE.value:
        raise app.UsageError("`tatl-zoo verify` must be followed by a name, a pattern or --all.")
    names = [name for pattern in patterns or ["*"] for name in _matching(pattern)]
    chosen = tuple(PROOFS.value) if PROOFS.value else None
    if patterns and not ALL.value:
        return [(names, chosen)] if chosen else [([name], None) for name in names]
    tiny = [name for name in names if name.startswith("test_")]
    small = [name for name in names if name not in tiny and _is_small(name)]
    large = [name for name in names if name not in tiny and name not in small]
    alone = (large if LARGE.value else []) + (small if ALL.value else [])
    jobs = [([name], chosen) for name in alone]
    if ALL.value:
        shares = [tiny[start :: PROCESSES.value] for start in range(PROCESSES.value)]
        jobs += [(share, chosen) for share in shares if share]
        light = tuple(proof for proof in WITHOUT_WEIGHTS if chosen is None or proof in chosen)
        if large and light and not LARGE.value:
            jobs.append((large, light))
    return jobs


def _matching(pattern):
    names = tatl_keras.zoo.list_models(pattern)
    return names or [tatl_keras.zoo.spec(pattern).name]  # which says what names are near


def _is_small(name):
    """Whether the encoders of a model are in the checkout, or learned and small."""
    spec, catalog = tatl_keras.zoo.spec(name), tatl_keras.encoders.catalog
    found = [catalog.ARCHITECTURES.get(part) for part in (spec.image, spec.text) if part]
    return all(entry is None or entry.folder for entry in found)


def _there(job):
    """Runs a job in a process of its own; returns its status."""
    names, proofs = job
    own = {"output": common.OUTPUT.value, "register": ",".join(common.REGISTER.value)}
    own |= {"proofs": None if proofs is None else ",".join(proofs)}
    words = [f"--{name}={value}" for name, value in own.items() if value]
    words += ["--check_written"] if CHECK.value else []
    command = [sys.executable, "-m", "tatl_keras.bin.zoo", "verify", *names, "--processes=1"]
    return subprocess.run([*command, *words], stdin=subprocess.DEVNULL).returncode


def _here(names, proofs=None, written=True):
    """Verifies models in this process; returns the exit status."""
    import keras

    failed = False
    for name in names:
        start = time.monotonic()
        keras.backend.clear_session()
        done = tatl_keras.training.verify(name, proofs)
        print(f"{done}\n  in {time.monotonic() - start:.0f} s", flush=True)
        failed = failed or not done.passed
        if written and CHECK.value:
            failed = _compare(done) or failed
        elif written:
            _write(done)
    return int(failed)


def _compare(done):
    """Says what a verification finds otherwise than what is written; returns whether it does."""
    written = _read(done)
    if written is None:
        if _is_kept(done.name):
            print(f"  {_path(done)} is not there: `tatl-zoo verify {done.name}` writes it")
        return _is_kept(done.name)
    found = done.differences(written)
    for each in found:
        print(f"  DIFFERENT {each}", flush=True)
    return bool(found)


def _write(done):
    """Writes proofs.json, unless it has proofs that were not made now: none is lost."""
    if not _is_kept(done.name):
        return
    written = _read(done)
    others = [] if written is None else [p for p in written["proofs"] if p not in done.proofs]
    if not others:
        print(f"  written to {done.save(_folder())}", flush=True)
    elif done.differences(written) or _conditions(written["conditions"]) != _conditions(
        done.conditions
    ):
        print(
            f"  NOT WRITTEN: {_path(done)} has {', '.join(others)}, too, made otherwise. "
            f"`tatl-zoo verify {done.name}` makes and writes all proofs.",
            flush=True,
        )
    else:
        print(f"  {_path(done)} has these and more: left as it is", flush=True)


def _conditions(of):
    """Of what code proofs were made."""
    return [of.get(name) for name in ("commit", "versions")]


def _is_kept(name):
    """Whether proofs of a model are written: those of `test_*` only where --output is given."""
    return common.OUTPUT.value is not None or not name.startswith("test_")


def _read(done):
    path = _path(done)
    return tatl_keras.training.read_json(path) if os.path.isfile(path) else None


def _path(done):
    from tatl_keras.training.proofs.verification import FILE

    return os.path.join(_folder(), done.name, FILE)


def _folder():
    from tatl_keras.zoo import cards

    return common.OUTPUT.value or str(cards.FOLDER)


def _check_output():
    if not os.path.isdir(_folder()):
        raise NotADirectoryError(
            f"--output must be a folder that exists. Received: {_folder()!r}. Outside of a "
            "checkout there is none to begin with."
        )


def _say_what_commit():
    """Says so where what is proven is of files that no commit has."""
    from tatl_keras.training.proofs.conditions import commit

    name = commit()
    if name is None:
        print("Not in a checkout: proofs will name no commit.", flush=True)
    elif name.endswith("-dirty"):
        print(f"Files differ from the commit: proofs will name {name}.", flush=True)
