"""`tatl-zoo check_install`: whether this installation works, and what to do where it does not."""

import os
import platform
import tempfile
import time

import numpy as np

import tatl_keras
from tatl_keras.bin import checking_machine, checking_packages, checking_presets, common
from tatl_keras.bin.findings import BAD, GOOD, NOTE, Finding, report

_MOST_DIFFERENCE = 1e-4
_EXAMPLES = 16


def check_install(ask_hubs=True):
    """Looks at everything, trains for a step, prints what was found and what to do.

    Args:
        ask_hubs: whether connections to model hubs are tried.

    Returns:
        The exit status: 1 if something that is needed does not work.
    """
    start = time.monotonic()
    findings = check(ask_hubs)
    print(f"tatl_keras {tatl_keras.__version__}, {platform.system()} {platform.machine()}\n")
    print(report(findings))
    marks = [finding.mark for finding in findings]
    bad, notes = marks.count(BAD), marks.count(NOTE)
    took = f"({time.monotonic() - start:.0f} s)"
    if bad:
        what = "thing that is needed does" if bad == 1 else "things that are needed do"
        print(f"\n{bad} {what} not work. {took}")
        return 1
    print(f"\nAll that is needed works{', see above for the rest' if notes else ''}. {took} Next:")
    print("  tatl-init FOLDER_OF_PICTURES\n  tatl-train --smoke")
    return 0


def check(ask_hubs=True):
    """List of `Finding`, in the order in which one thing needs another."""
    python, asked = checking_packages.requirements()
    names = {checking_packages.Requirement(line).name for line in asked}
    have = checking_packages.versions(names)
    findings = checking_packages.check(python, asked, have)
    findings += checking_machine.check_processor()
    findings += checking_machine.check_memory()
    findings += checking_machine.check_disk()
    with common.quiet_stderr():
        broken = checking_packages.check_imports(have)
    findings += broken
    if broken:
        return findings
    for look in (
        checking_machine.check_accelerators,
        checking_presets.check_carried,
        lambda: checking_presets.check_hubs(ask_hubs),
        check_step,
    ):
        findings += _guarded(look)
    return findings


def _guarded(look):
    """What a check found, or that it failed, which no check may do in silence."""
    try:
        with common.quiet_stderr():
            return look()
    except Exception as error:  # a broken package raises whatever it likes
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        title = look.__name__.removeprefix("check_").replace("_", " ")
        advice = "tatl-train --smoke --debug"
        return [Finding(BAD, title, reason, f"See where it comes from:\n{advice}")]


def check_step():
    """Trains tiny encoders' fusion for a step, exports it and asks the export."""
    from tatl_keras.bin.train import SMOKE_MODEL

    start = time.monotonic()
    examples = tatl_keras.data.synthetic.examples(2, _EXAMPLES)
    model = tatl_keras.zoo.build(SMOKE_MODEL, num_classes=2, seed=0)
    model.fit(examples, epochs=1, batch_size=_EXAMPLES, verbose=0)
    asked = [{name: x[name].numpy() for name in ("image", "text")} for x, _ in examples.take(3)]
    asked = {name: [row[name] for row in asked] for name in ("image", "text")}
    logits = model.predict(asked, verbose=0).astype("float64")
    expected = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    with tempfile.TemporaryDirectory() as folder:
        directory = os.path.join(folder, "1")
        model.export(directory)
        answer = tatl_keras.serving.load(directory).predict(asked["image"], asked["text"])
    return [judge_step(answer, expected, time.monotonic() - start)]


def judge_step(answer, expected, seconds):
    """The finding of an export whose probabilities should be those of its model."""
    difference = np.abs(answer - expected).max()
    if difference <= _MOST_DIFFERENCE:
        return Finding(GOOD, "one step", f"trained, exported and asked in {seconds:.1f} s")
    found = f"the export's probabilities differ from the model's by {difference:.1e}"
    advice = "pip install --force-reinstall tensorflow tensorflow-text keras"
    return Finding(BAD, "one step", found, advice)
