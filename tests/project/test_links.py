"""Links between documents lead somewhere: to a file that is there, and to a heading in it."""

import re

import pytest

from tests.project import source

DOCUMENTS = [p for p, _ in source.text_files() if p.suffix == ".md"]

_LINK = re.compile(r"!?\[[^\]]*\]\(<?(?P<target>[^)\s>]+)>?[^)]*\)")
_CODE = re.compile(r"^ *```.*?^ *``` *$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} +(?P<title>.*?) *#*$", re.MULTILINE)


def links(text):
    """The targets of all links outside code that lead to this repository."""
    found = [match["target"] for match in _LINK.finditer(_CODE.sub("", text))]
    return [target for target in found if not re.match(r"\w+:", target)]


def anchors(text):
    """What can stand behind `#`, as forges make it of headings."""
    text = re.sub(r"^ *```.*?^ *``` *$", "", text, flags=re.DOTALL | re.MULTILINE)
    slugs, seen = set(), {}
    for match in _HEADING.finditer(text):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match["title"]).lower()
        slug = re.sub(r"[^\w\- ]", "", title).replace(" ", "-")
        seen[slug] = seen.get(slug, -1) + 1
        slugs.add(slug if not seen[slug] else f"{slug}-{seen[slug]}")
    return slugs


def broken(path):
    """The links of a document that lead nowhere."""
    wrong = []
    for target in links(path.read_text(encoding="utf-8")):
        place, _, anchor = target.partition("#")
        other = (path.parent / place).resolve() if place else path
        if not other.exists():
            wrong.append(target)
        elif anchor and anchor not in anchors(other.read_text(encoding="utf-8")):
            wrong.append(target)
    return wrong


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.relative_to(source.REPO).as_posix())
def test_links_lead_somewhere(path):
    assert broken(path) == []


def test_every_page_is_in_the_index():
    folder = source.REPO / "docs"
    index = (folder / "README.md").read_text(encoding="utf-8")
    pages = {p.name for p in folder.glob("*.md")} - {"README.md"}
    assert pages <= set(links(index))


def test_wrong_links_are_found(tmp_path):
    (tmp_path / "other.md").write_text("# A `b`, [c](d.md)\n\n## Twice\n\n## Twice\n")
    (tmp_path / "page.md").write_text(
        "[a](other.md#a-b-c) [b](other.md#twice-1) [c](https://example.com)\n"
        "[d](other.md#thrice) [e](gone.md) `[f](gone.md)`\n\n```text\n[g](gone.md)\n```\n"
    )
    assert broken(tmp_path / "page.md") == ["other.md#thrice", "gone.md"]
