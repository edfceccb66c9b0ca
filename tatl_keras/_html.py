"""Pages that need no other file: text is escaped, pictures are inside, no network is asked.

Functions return HTML as `str`. Arguments named `parts` or `cells` are such HTML; all others text.
"""

import base64
import html
import re

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", sans-serif; color: #1f2328;
       background: #fff; max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 3rem;
       overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 2.5rem 0 .75rem; padding-top: .75rem;
     border-top: 1px solid #d0d7de; }
p, ul { margin: .5rem 0; max-width: 46rem; }
ul { padding-left: 1.2rem; }
.lead { font-size: 1.05rem; color: #424a53; }
.alarm { color: #a40e26; font-weight: 600; }
.note, figcaption, caption, footer { color: #57606a; font-size: .875rem; }
.wide { overflow-x: auto; max-width: 100%; margin: .75rem 0; }
.wide:focus-visible, summary:focus-visible { outline: 2px solid #0969da; outline-offset: 2px; }
table { border-collapse: collapse; font-size: .9rem; overflow-wrap: normal; }
caption { text-align: left; padding-bottom: .35rem; }
th, td { padding: .3rem .9rem .3rem 0; text-align: left; vertical-align: top;
         border-bottom: 1px solid #d8dee4; }
thead th { border-bottom: 2px solid #afb8c1; vertical-align: bottom; }
tbody th { font-weight: 400; }
th:first-child, td:first-child { min-width: 6rem; max-width: 20rem; overflow-wrap: break-word; }
.numbers th:not(:first-child), .numbers td:not(:first-child)
{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.numbers thead th:not(:first-child) { white-space: normal; }
figure { margin: .75rem 0; }
img { display: block; max-width: 100%; height: auto; }
figcaption { margin-top: .35rem; }
pre { background: #f6f8fa; border: 1px solid #d8dee4; border-radius: 6px; padding: .7rem .9rem;
      white-space: pre-wrap; font: .85rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
summary { cursor: pointer; font-weight: 600; padding: .35rem 0; }
.grid { display: grid; gap: 1rem 1.25rem; margin: .75rem 0;
        grid-template-columns: repeat(auto-fill, minmax(min(100%, var(--cell)), 1fr)); }
.grid > div { min-width: 0; }
.grid figure { margin: 0; }
footer { margin-top: 3rem; border-top: 1px solid #d0d7de; padding-top: .75rem; }
@media print {
  body { max-width: none; padding: 0; font-size: 11pt; }
  h2, figure, tr, .grid > div { break-inside: avoid; }
  h2 { break-after: avoid; }
  .wide { overflow: visible; }
  .wide img { min-width: 0 !important; }
}
"""
LEAST_WIDTH = 720  # pixels below which a drawing scrolls, so that its words stay readable
# Even if something slipped through: the browser loads nothing and runs nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_PICTURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def escape(text):
    """Text as HTML that shows it.

    Example:

    >>> escape('<b> & "c"')
    '&lt;b&gt; &amp; &quot;c&quot;'
    """
    return html.escape(_UNSHOWN.sub("\ufffd", str(text)))


def page(title, *parts, summary="", footer=""):
    """The whole document.

    Args:
        title: str, its one first heading and the window's title.
        *parts: HTML.
        summary: str, the first paragraph.
        footer: str, the last one.

    Example:

    >>> page("A run", section("Data", paragraph("60 examples"))).startswith("<!DOCTYPE html>")
    True
    """
    lead = f'<p class="lead">{escape(summary)}</p>\n' if summary else ""
    last = f"<footer>{escape(footer)}</footer>\n" if footer else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
{lead}{_lines(parts)}
</main>
{last}</body>
</html>
"""


def section(title, *parts):
    """A part of the page with a second heading; sections do not lie in one another."""
    return f"<section>\n<h2>{escape(title)}</h2>\n{_lines(parts)}\n</section>"


def paragraph(text, kind=None):
    """A paragraph; `kind` is None, "alarm" (red, strong) or "note" (small, grey)."""
    return f"<p{_kind(kind)}>{escape(text)}</p>"


def bullets(texts, kinds=()):
    """A list; `kinds` has what `paragraph` takes, for the first of them or for all."""
    kinds = [*kinds, *[None] * (len(texts) - len(kinds))]
    items = [f"<li{_kind(k)}>{escape(t)}</li>" for t, k in zip(texts, kinds, strict=True)]
    return f"<ul>\n{_lines(items)}\n</ul>"


def table(header, rows, *, caption=None, numeric=True):
    """A table, which scrolls in its own box where it is wider than the screen.

    Args:
        header: texts, one a column.
        rows: rows of texts; the first of each names the row.
        caption: str, what the table shows; without one its first column's name says it.
        numeric: bool, columns but the first hold numbers and end on the right.

    Raises:
        ValueError: a row has more or fewer cells than the header.

    Example:

    >>> table(["class", "accuracy"], [["cat", "90 %"]]).count("<th scope")
    3
    """
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise ValueError(
                f"`rows` must have a cell for each of {len(header)} columns. "
                f"Received: rows[{number}] with {len(row)} cells."
            )
    head = "".join(
        f'<th scope="col">{escape(name)}</th>' if str(name) else "<td></td>" for name in header
    )
    lines = [
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    ]
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    return _wide(
        caption or str(header[0]) or "table",
        f'<table class="{"numbers" if numeric else "words"}">{said}<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{_lines(lines)}\n</tbody></table>",
    )


def figure(png, alt, caption="", least_width=None):
    """A picture, inside the page.

    Args:
        png: bytes of a PNG or JPEG file.
        alt: str, what is to be seen, for those who cannot see it.
        caption: str, shown below.
        least_width: int, pixels below which the picture is not made smaller but scrolls in its
            own box. Default: it always fits the screen.

    Raises:
        ValueError: the bytes are of another kind, or `alt` is empty.
    """
    if not alt.strip():
        raise ValueError(f"`alt` must say what the picture shows. Received: alt={alt!r}")
    kind = next((name for start, name in _PICTURES.items() if png.startswith(start)), None)
    if kind is None:
        raise ValueError(f"`png` must be a PNG or JPEG file. Received: png={bytes(png[:12])!r}")
    width = f' style="min-width: {int(least_width)}px"' if least_width else ""
    data = base64.b64encode(png).decode("ascii")
    shown = f'<img alt="{escape(alt)}"{width} src="data:{kind};base64,{data}">'
    said = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{_wide(alt, shown) if least_width else shown}{said}</figure>"


def code(text):
    """A block to copy, such as a command."""
    return f"<pre><code>{escape(text)}</code></pre>"


def details(title, *parts):
    """What is shown when its title is chosen."""
    return f"<details><summary>{escape(title)}</summary>\n{_lines(parts)}\n</details>"


def grid(*cells, width=260):
    """Cells side by side, as many of at least `width` pixels as the screen has room for."""
    inner = _lines(f"<div>{cell}</div>" for cell in cells)
    return f'<div class="grid" style="--cell: {int(width)}px">\n{inner}\n</div>'


def _wide(label, inner):
    return f'<div class="wide" role="group" tabindex="0" aria-label="{escape(label)}">{inner}</div>'


def _kind(kind):
    return f' class="{escape(kind)}"' if kind else ""


def _lines(parts):
    return "\n".join(parts)
