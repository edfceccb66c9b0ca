"""What a check found, and how it is told."""

import dataclasses
import textwrap

GOOD, NOTE, BAD = "✓", "!", "✗"
_WIDTH = 96


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of a check.

    Attributes:
        mark: `GOOD`, `NOTE` for what works only in part, `BAD` for what is needed and does not
            work.
        title: str, what was looked at.
        found: str, what it is like.
        advice: str, what to do, commands on lines of their own; empty where there is nothing.
    """

    mark: str
    title: str
    found: str
    advice: str = ""


def report(findings):
    """Findings as aligned lines, and what to do about those that are not good.

    A word stays whole where it is longer than a line: it may be a path to be copied.
    """
    title_width = max(len(finding.title) for finding in findings)
    wrapper = textwrap.TextWrapper(_WIDTH, break_long_words=False, break_on_hyphens=False)
    wrapper.subsequent_indent = " " * (title_width + 4)
    lines = []
    for finding in findings:
        wrapper.initial_indent = f"{finding.mark} {finding.title.ljust(title_width)}  "
        lines += wrapper.wrap(finding.found)
    advised = {}  # one piece of advice can be for several
    for finding in findings:
        if finding.advice:
            advised.setdefault(finding.advice, []).append(f"{finding.mark} {finding.title}")
    if advised:
        lines += ["", "What to do:"]
    for advice, titles in advised.items():
        lines += [*titles, textwrap.indent(advice, "    ")]
    return "\n".join(lines)


def gigabytes(count):
    """A number of bytes for people."""
    return f"{count / 1e9:.1f} GB"
