"""Finds the code blocks of a document and the comment above each that says how it is tested.

<!-- test: run -->             executed; Python blocks of one document share one namespace
<!-- test: smoke -->           console blocks: executed with `--smoke` added to each program
<!-- test: parse -->           checked without running: targets, flags, imports and model names
<!-- test: skip(reason) -->    not tested; the reason is for the reader of the source
"""

import ast
import dataclasses
import re
import textwrap

from tests.project import source

DOCUMENTS = (
    *("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"),
    *("deploy/README.md", "deploy/training/README.md", "deploy/serving/README.md"),
)
CONSOLE = ("bash", "console", "sh", "shell")
MODES = ("run", "smoke", "parse", "skip")

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*) *$")
_MARKER = re.compile(r"^ *<!-- test: (?P<mode>\w+)(?:\((?P<reason>.*)\))? -->$")


@dataclasses.dataclass(frozen=True)
class Block:
    """One fenced block: `line` is that of its first line of code."""

    document: str
    line: int
    language: str
    code: str
    mode: str | None
    reason: str | None

    def __str__(self):
        return f"{self.document}:{self.line}"

    @property
    def is_python(self):
        return self.language == "python"

    @property
    def is_console(self):
        return self.language in CONSOLE


def blocks(document, text=None):
    """The Python and console blocks of a document, in order."""
    if text is None:
        text = (source.REPO / document).read_text(encoding="utf-8")
    found, fence, marker, start = [], None, None, 0
    lines = text.splitlines()
    for number, line in enumerate(lines):
        match = _FENCE.match(line)
        if fence is None and match:
            fence, start = match, number + 1
        elif fence is not None and match and not match["language"]:
            code = textwrap.dedent("\n".join(lines[start:number])) + "\n"
            found.append(_block(document, start + 1, fence["language"], code, marker))
            fence = marker = None
        elif fence is None and line.strip():
            marker = _MARKER.match(line)
    return [b for b in found if b.is_python or b.is_console]


def _block(document, line, language, code, marker):
    mode, reason = (marker["mode"], marker["reason"]) if marker else (None, None)
    return Block(document, line, language, code, mode, reason)


def commands(block):
    """The commands of a console block: lines after `$ `, or all lines where there is no prompt."""
    code = _joined(block.code)
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith("#")]
    if any(line.startswith("$ ") for line in lines):
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    return lines


def _joined(text):
    """Text with lines that end in a backslash joined to the next."""
    return re.sub(r"\\\n\s*", "", text)


def program_commands():
    """Yields (program, command line) of every command in a program's docstring, its help."""
    for path in sorted((source.PACKAGE / "bin").glob("*.py")):
        text = _joined(ast.get_docstring(source.parse(path)) or "")
        for line in text.splitlines():
            if line.startswith("    tatl-"):
                yield path.stem, line.strip()


def all_blocks():
    """The blocks of every document there is."""
    existing = [d for d in DOCUMENTS if (source.REPO / d).is_file()]
    return [block for document in existing for block in blocks(document)]
