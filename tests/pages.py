"""Reads pages: fails where tags do not nest, and finds what is shown."""

import html.parser
import re

VOID = {"meta", "img", "br", "hr", "link", "input", "col"}


class Tree(html.parser.HTMLParser):
    """Tags with their attributes, texts with the tags they are in, tables as rows of texts."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.texts, self.tables = [], [], [], []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data
        if data.strip():
            self.texts.append((self.open[-1] if self.open else None, data))

    def attributes(self, tag):
        """The attributes of each tag of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]

    def text_of(self, tag):
        """The texts directly inside tags of a kind."""
        return [text for name, text in self.texts if name == tag]

    def table(self, *header):
        """The rows of the one table whose header begins so, as dict from the first cell."""
        (found,) = [rows for rows in self.tables if tuple(rows[0][: len(header)]) == header]
        return {row[0]: row[1:] for row in found[1:]}

    @property
    def words(self):
        """All text but the style's, in one line."""
        return " ".join(text for tag, text in self.texts if tag != "style")


def parse(text):
    """A `Tree` of a document or a part of one."""
    tree = Tree()
    tree.feed(text)
    tree.close()
    assert not tree.open, f"never closed: {tree.open}"
    return tree


def check_alone(text):
    """Raises where a page would load or run anything."""
    for tag, attributes in parse(text).tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form")
        assert not {"href", "srcset", "action"} & set(attributes)
        assert attributes.get("src", "data:").startswith("data:")
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"url\(|@import", text)
