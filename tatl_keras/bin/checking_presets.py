"""Which pretrained encoders can be had: carried along, cached, or from a hub."""

import os
import pathlib
import re
import threading
import time
import urllib.error
import urllib.request

from tatl_keras import _files
from tatl_keras.bin.findings import BAD, GOOD, NOTE, Finding

HUBS = {"Kaggle": "https://www.kaggle.com", "Hugging Face": "https://huggingface.co"}
_SECONDS = 3.0
_WEIGHTS = "model.weights.h5"
_DIGEST = re.compile(rf"`{re.escape(_WEIGHTS)}`.*sha256 `([0-9a-f]{{64}})`")
_WAYS_OUT = (
    "With a network: run again. Without one, copy what a machine with one has loaded:\n"
    "~/.cache/kagglehub (presets by name) or ~/.cache/huggingface (hf://);\n"
    "or give tatl-train a folder: --image_preset=FOLDER --text_preset=FOLDER"
)


def check_carried():
    """The encoders of saved_models/encoders: found, and their weights as they were written."""
    from tatl_keras.encoders import catalog, presets

    findings = []
    for name, entry in catalog.ARCHITECTURES.items():
        if entry.folder is None:
            continue
        try:
            folder = pathlib.Path(presets.locate(name))
        except presets.PresetError:
            folder = None
        if folder is None or not folder.is_dir():
            advice = (
                "Without a checkout, say where a copy of saved_models/encoders lies:\n"
                f"export {presets.FOLDER_VARIABLE}=/a/copy/of/encoders"
            )
            found = "is not carried along"
            findings.append(Finding(NOTE, f"encoder {name}", found, advice))
        else:
            findings.append(_check_weights(name, folder))
    return findings


def _check_weights(name, folder):
    title, weights, notes = f"encoder {name}", folder / _WEIGHTS, folder / "README.md"
    told = _DIGEST.search(notes.read_text(encoding="utf-8")) if notes.is_file() else None
    if not weights.is_file() or told is None:
        lacks = _WEIGHTS if not weights.is_file() else "README.md with its digest"
        found = f"{folder} has no {lacks}"
        mark = NOTE if weights.is_file() else BAD
        return Finding(mark, title, found, _copy_again(folder))
    if _files.sha256_of(weights) != told[1]:
        found = f"{weights} is damaged: its SHA-256 is not the one in README.md"
        return Finding(BAD, title, found, _copy_again(folder))
    return Finding(GOOD, title, f"SHA-256 right, {folder}")


def _copy_again(folder):
    return f"Copy saved_models/encoders/{folder.name} again; in a checkout:\ngit checkout {folder}"


def check_hubs(ask=True):
    """Whether model hubs answer, and what of theirs is here already.

    Args:
        ask: with `False` no connection is tried.
    """
    cached = cached_presets()
    here = f"cached: {', '.join(cached[:5]) + (' …' if len(cached) > 5 else '') or 'none'}"
    if not ask:
        return [Finding(GOOD, "model hubs", f"not asked (--noask_hubs); {here}")]
    answers = ask_hubs()
    good = [f"{name} in {answer:.1f} s" for name, answer in answers.items() if _is_time(answer)]
    bad = [f"{name} ({answer})" for name, answer in answers.items() if not _is_time(answer)]
    findings = []
    if good:
        findings.append(Finding(GOOD, "model hubs", f"{', '.join(good)}; {here}"))
    if bad:
        found = f"no answer from {', '.join(bad)}; {here}"
        findings.append(Finding(NOTE, "model hubs", found, _WAYS_OUT))
    return findings


def ask_hubs(seconds=_SECONDS):
    """Asks all hubs at once, for a few seconds.

    Returns:
        Dict from hub to the seconds that it took to answer, or to why it did not (str).
    """
    answers = dict.fromkeys(HUBS, f"nothing within {seconds:g} s")

    def ask(name, address):
        start = time.monotonic()
        try:
            request = urllib.request.Request(address, method="HEAD")
            urllib.request.urlopen(request, timeout=seconds).close()
        except urllib.error.HTTPError:  # an answer, if not to this question
            pass
        except Exception as error:  # no answer, whatever the reason
            reason = getattr(error, "reason", error)
            words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
            answers[name] = " ".join(words.split())[:100]
            return
        answers[name] = time.monotonic() - start

    # Looking up a host can take longer than any timeout, so nobody waits for these.
    threads = [threading.Thread(target=ask, args=pair, daemon=True) for pair in HUBS.items()]
    for thread in threads:
        thread.start()
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0))
    return dict(answers)


def cached_presets():
    """Names of presets in the caches: of Kaggle those loaded whole, of Hugging Face those begun.

    Of Hugging Face a snapshot with a config.json is asked for; it says nothing of the weights.
    """
    home = pathlib.Path.home() / ".cache"
    hub = pathlib.Path(os.environ.get("KAGGLEHUB_CACHE") or home / "kagglehub")
    hugging = pathlib.Path(os.environ.get("HF_HOME") or home / "huggingface") / "hub"
    # models/<owner>/<model>/<framework>/<variation>/<version>.complete
    found = {path.parent.name for path in hub.glob("models/*/*/*/*/*.complete")}
    # models--<owner>--<model>/snapshots/<commit>/config.json
    for path in hugging.glob("models--*/snapshots/*/config.json"):
        found.add(f"hf://{path.parents[2].name.removeprefix('models--').replace('--', '/')}")
    return sorted(found)


def _is_time(answer):
    return isinstance(answer, float)
