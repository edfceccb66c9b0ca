"""Whether Python and the packages are what this package asks for."""

import configparser
import importlib.metadata
import pathlib
import platform

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tatl_keras.bin.findings import BAD, GOOD, NOTE, Finding

_NAME = "tatl_keras"
_MAIN = ("tensorflow", "keras", "keras-hub")
_EXTRAS = ("beam", "onnx", "quickstart", "tensorboard")  # others are for developers


def requirements():
    """What the package asks for, as its metadata say, or in a checkout its setup.cfg.

    Returns:
        `(python, packages)`: a str such as `>=3.11`, and a list of str such as
        `onnx>=1.17,<2; extra == "onnx"`.
    """
    try:
        metadata = importlib.metadata.metadata(_NAME)
        return metadata["Requires-Python"] or "", metadata.get_all("Requires-Dist") or []
    except importlib.metadata.PackageNotFoundError:
        setup = configparser.ConfigParser()
        checkout = pathlib.Path(__file__).resolve().parents[2]
        setup.read(checkout / "setup.cfg", encoding="utf-8")
        found = _lines(setup["options"]["install_requires"])
        for extra, text in setup["options.extras_require"].items():
            found += [f'{line}; extra == "{extra}"' for line in _lines(text)]
        return setup["options"]["python_requires"], found


def versions(names):
    """Dict from the name of a distribution to its version, `None` where there is none."""
    return {name: _version(name) for name in names}


def check(python, asked, have, running=None):
    """Findings about Python, the packages needed and the extras.

    Args:
        python, asked: as `requirements` gives them.
        have: dict from name to version or `None`, of all that is asked for.
        running: version of Python; by default of this one.
    """
    running = running or platform.python_version()
    parsed = [Requirement(line) for line in asked]
    core = [one for one in parsed if _applies(one, "")]
    wrong = [one for one in core if not _fits(one, have)]
    findings = [_python(python, running)]
    if len(wrong) < len(core):
        main = [f"{name} {have[name]}" for name in _MAIN if have[name]]
        good = f"{len(core) - len(wrong)} of {len(core)} fit: {', '.join(main)} …"
        findings.append(Finding(GOOD, "packages", good))
    for one in wrong:
        mark = NOTE if have[one.name] else BAD
        found = f"{have[one.name] or 'not installed'}; {_NAME} is tested with {_bare(one)}"
        findings.append(Finding(mark, one.name, found, f"pip install '{_bare(one)}'"))
    return [*findings, *_match(have), *_extras(parsed, have)]


def check_imports(have):
    """Whether TensorFlow and tensorflow-text, whose parts are not Python, can be loaded.

    Args:
        have: dict from name to version or `None`.
    """
    minor = _minor(have["tensorflow"])
    bounds = f"=={minor}.*" if minor else ""
    for name, load in (("tensorflow", _tensorflow), ("tensorflow-text", _tensorflow_text)):
        try:
            load()
        except Exception as error:  # whatever a broken installation raises
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            advice = f"pip install --force-reinstall --no-deps '{name}{bounds}'"
            return [Finding(BAD, f"import of {name}", reason, advice)]
    return []


def _tensorflow():
    import tensorflow  # noqa: F401


def _tensorflow_text():
    import tensorflow_text  # noqa: F401


def _python(asked, running):
    if SpecifierSet(asked).contains(running, prereleases=True):
        return Finding(GOOD, "Python", running)
    advice = f"Install Python {asked.strip('>=')}, and make a new environment with it."
    return Finding(BAD, "Python", f"{running}; {_NAME} asks for {asked}", advice)


def _match(have):
    """Whether the two fit: tensorflow-text is compiled against one minor version."""
    of, text = (_minor(have.get(name)) for name in ("tensorflow", "tensorflow-text"))
    if None in (of, text):
        return []  # said above
    found = f"{have['tensorflow-text']} beside tensorflow {have['tensorflow']}"
    if of == text:
        return [Finding(GOOD, "tensorflow-text", found)]
    advice = f"pip install 'tensorflow-text=={of}.*'"
    return [Finding(NOTE, "tensorflow-text", f"{found}: it is made for one of its own", advice)]


def _extras(parsed, have):
    """One finding for the extras there are, and one for each that is there in part."""
    there, absent, findings = [], [], []
    for extra in _EXTRAS:
        own = [one for one in parsed if one.marker and _applies(one, extra)]
        own = [one for one in own if not _applies(one, "")]
        missing = [one for one in own if not _fits(one, have)]
        if not missing:
            there.append(extra)
        elif all(have[one.name] is None for one in missing):
            absent.append(extra)
        else:
            found = "; ".join(_misfit(one, have[one.name]) for one in missing)
            advice = f"pip install '{_NAME}[{extra}]'"
            findings.append(Finding(NOTE, f"extra {extra}", found, advice))
    found = ", ".join(there) or "none"
    if absent:
        found += f"; not installed: {', '.join(absent)} (pip install '{_NAME}[{absent[0]}]')"
    return [Finding(GOOD, "extras", found), *findings]


def _misfit(one, version):
    if version is None:
        return f"{one.name} is not installed"
    return f"{one.name} {version} is not {_bare(one)}"


def _applies(one, extra):
    return one.marker is None or one.marker.evaluate({"extra": extra})


def _fits(one, have):
    version = have[one.name]
    return version is not None and one.specifier.contains(version, prereleases=True)


def _bare(one):
    """A requirement without its marker, its bounds in the order of writing: `keras>=3.15,<4`."""
    bounds = sorted(map(str, one.specifier), key=lambda bound: bound.startswith("<"))
    return one.name + ",".join(bounds)


def _minor(version):
    return ".".join(version.split(".")[:2]) if version else None


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _lines(text):
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
