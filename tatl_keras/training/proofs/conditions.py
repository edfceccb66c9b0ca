"""Under which conditions a proof was made."""

import datetime
import functools
import importlib.metadata
import os
import pathlib
import platform
import subprocess

PACKAGES = ("tensorflow", "tensorflow-text", "keras", "keras-hub", "numpy")
ROOT = pathlib.Path(__file__).resolve().parents[3]
# What proofs and `make docs` write does not make a tree unclean for the proofs that follow.
_WRITTEN = (":(exclude)zoo/*/proofs.json", ":(exclude)zoo/*README.md")


def conditions():
    """Date, commit, device and versions, as a dict of strings.

    `commit` is `None` outside of a checkout, and ends in "-dirty" where files differ from it.

    Example:

    >>> sorted(conditions())
    ['commit', 'date', 'device', 'versions']
    """
    versions = {name: _version(name) for name in PACKAGES}
    return {
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "device": f"CPU, {os.cpu_count()} cores, {platform.machine()}",
        "versions": {"python": platform.python_version(), **versions},
    }


@functools.cache
def commit(root=ROOT):
    """The commit of the checkout this library is in, "-dirty" added where files have changed."""
    try:
        name = _git(root, "rev-parse", "--short=7", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *_WRITTEN)
    except (OSError, subprocess.CalledProcessError):
        return None
    return name + ("-dirty" if changed else "")


def _git(root, *words):
    command = ["git", "-C", str(root), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
