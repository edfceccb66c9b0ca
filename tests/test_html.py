"""Pages: what is shown is what was given, whatever it holds; well-formed; on its own."""

import base64

import pytest

from tatl_keras import _html
from tests.pages import check_alone, parse

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
JPEG = b"\xff\xd8\xff" + bytes(range(256))
NASTY = (
    '</pre></td><script>alert("1")</script> & <img src=http://a.b/c.png onerror=x> \'"\x00\ud800'
)


def everything(text):
    """A page with every part, each of its texts the given one."""
    return _html.page(
        text,
        _html.section(
            text,
            _html.paragraph(text, "alarm"),
            _html.bullets([text, text], ["note"]),
            _html.table([text, text], [[text, text]], caption=text),
            _html.table([text, text], [[text, text]], numeric=False),
            _html.figure(PNG, text, text),
            _html.figure(JPEG, text, text, least_width=600),
            _html.code(text),
            _html.details(text, _html.paragraph(text)),
            _html.grid(_html.paragraph(text), _html.paragraph(text)),
        ),
        summary=text,
        footer=text,
    )


def test_every_text_is_shown_as_it_is_and_nothing_else_comes_of_it():
    tree, plain = parse(everything(NASTY)), parse(everything("plain"))
    assert [tag for tag, _ in tree.tags] == [tag for tag, _ in plain.tags]
    shown = NASTY.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
    texts = [text for tag, text in tree.texts if tag != "style"]
    assert len(texts) == 24 and set(texts) == {shown}
    assert [picture["alt"] for picture in tree.attributes("img")] == [shown, shown]
    everything(NASTY).encode("utf-8")


def test_a_page_asks_nothing_of_anyone():
    check_alone(everything("plain"))
    tree = parse(_html.page("A run"))
    (policy,) = [m["content"] for m in tree.attributes("meta") if "http-equiv" in m]
    assert policy.startswith("default-src 'none'") and "script" not in policy


def test_the_document_says_its_language_and_its_width():
    tree = parse(_html.page("A run", summary="It went well.", footer="Made today."))
    assert tree.attributes("html") == [{"lang": "en"}]
    assert tree.text_of("title") == tree.text_of("h1") == ["A run"]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in (
        tree.attributes("meta")
    )
    assert tree.text_of("p") == ["It went well."] and tree.text_of("footer") == ["Made today."]


def test_a_table_says_what_its_headers_head():
    tree = parse(_html.table(["class", "right"], [["cat", 1], ["dog", 0]], caption="Classes"))
    assert [a["scope"] for a in tree.attributes("th")] == ["col", "col", "row", "row"]
    assert tree.text_of("th") == ["class", "right", "cat", "dog"]
    assert tree.text_of("td") == ["1", "0"] and tree.text_of("caption") == ["Classes"]
    assert tree.attributes("table") == [{"class": "numbers"}]
    assert tree.attributes("div")[0]["tabindex"] == "0"  # the box that scrolls, by keyboard too
    with pytest.raises(ValueError, match=r"each of 2 columns. Received: rows\[1\] with 3 cells"):
        _html.table(["a", "b"], [["1", "2"], ["1", "2", "3"]])


@pytest.mark.parametrize(("data", "kind"), [(PNG, "png"), (JPEG, "jpeg")])
def test_a_picture_is_inside_with_all_its_bytes(data, kind):
    (picture,) = parse(_html.figure(data, "a curve", "Loss")).attributes("img")
    start, _, encoded = picture["src"].partition(",")
    assert start == f"data:image/{kind};base64" and base64.b64decode(encoded) == data
    assert picture["alt"] == "a curve"


def test_a_picture_must_be_one_and_be_described():
    with pytest.raises(ValueError, match=r"must be a PNG or JPEG file. Received: png=b'<svg/>'"):
        _html.figure(b"<svg/>", "a curve")
    with pytest.raises(ValueError, match="must say what the picture shows. Received: alt=' '"):
        _html.figure(PNG, " ")
