"""Finds the code blocks of a document and the comment above each that says how it is tested.

<!-- test: run -->             executed; Python blocks of one document share one namespace
<!-- test: smoke -->           console blocks: executed with `--smoke` added to each program
<!-- test: fails(what) -->     executed; must end with this error (Python) or status (console)
<!-- test: parse -->           checked without running: targets, flags, imports and model names
<!-- test: skip(reason) -->    not tested; the reason is for the reader of the source
<!-- output -->                a text block: what the block before it prints; `...` is any text
"""

import ast
import dataclasses
import re
import textwrap

from tests.project import source

DOCUMENTS = (
    *("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"),
    *("deploy/README.md", "deploy/training/README.md", "deploy/serving/README.md"),
    *sorted(p.relative_to(source.REPO).as_posix() for p in (source.REPO / "docs").rglob("*.md")),
)
CONSOLE = ("bash", "console", "sh", "shell")
EXECUTED = ("run", "smoke", "fails")
MODES = (*EXECUTED, "parse", "skip")

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*) *$")
_MARKER = re.compile(r"^ *<!-- test: (?P<mode>\w+)(?:\((?P<reason>.*)\))? -->$")
# A bar goes back to the start of its line each time it grows; how often depends on the machine.
_BAR = re.compile(r"(?:\r[^\r\n]*)+\n?")
_OUTPUT = re.compile(r"^ *<!-- output -->$")


@dataclasses.dataclass(frozen=True)
class Block:
    """One fenced block: `line` is that of its first line of code.

    `reason` is what stands in brackets behind the mode; `output` what the block shall print, or
    `None`.
    """

    document: str
    line: int
    language: str
    code: str
    mode: str | None
    reason: str | None
    output: str | None = None

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
    found = []
    for block, is_output in _fenced(document, text):
        if is_output:
            found[-1] = dataclasses.replace(found[-1], output=block.code)
        elif block.is_python or block.is_console:
            found.append(block)
    return found


def unchecked_texts(document, text=None):
    """Where text blocks stand that are not marked as output."""
    blocks = [b for b, is_output in _fenced(document, text) if not is_output]
    return [str(block) for block in blocks if block.language == "text"]


def _fenced(document, text=None):
    """Yields (block, whether it is marked as output) of all fenced blocks."""
    if text is None:
        text = (source.REPO / document).read_text(encoding="utf-8")
    fence, above, start = None, "", 0
    lines = text.splitlines()
    for number, line in enumerate(lines):
        match = _FENCE.match(line)
        if fence is None and match:
            fence, start = match, number + 1
        elif fence is not None and match and not match["language"]:
            code = textwrap.dedent("\n".join(lines[start:number])) + "\n"
            block = _block(document, start + 1, fence["language"], code, _MARKER.match(above))
            yield block, bool(_OUTPUT.match(above))
            fence, above = None, ""
        elif fence is None and line.strip():
            above = line


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


def printed_as_shown(printed, shown):
    """Whether a text is the one shown, where `...` stands for any text.

    Ends of lines and bars of progress aside.
    """
    printed = _BAR.sub("", printed)
    printed, shown = ("\n".join(map(str.rstrip, t.strip().splitlines())) for t in (printed, shown))
    pattern = ".*".join(map(re.escape, shown.split("...")))
    return re.fullmatch(pattern, printed, re.DOTALL) is not None


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
