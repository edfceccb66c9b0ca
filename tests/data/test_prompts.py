"""Prompt ensembles: every name in every template, and what is refused."""

import pytest

from tatl_keras import data
from tatl_keras.data.prompts import TEMPLATES


def test_every_name_is_in_every_template():
    texts = data.prompt_ensemble(["cat", "a {braced} name"], ["one {}", "{}, drawn {twice}"])
    assert texts == {
        "cat": ["one cat", "cat, drawn {twice}"],
        "a {braced} name": ["one a {braced} name", "a {braced} name, drawn {twice}"],
    }
    assert data.prompt_ensemble(["cat"], "just {}") == {"cat": ["just cat"]}
    assert data.prompt_ensemble([]) == {}


def test_underscores_are_spaces():
    texts = data.prompt_ensemble(["black_footed_albatross", "_"], "one {}")
    assert texts == {"black_footed_albatross": ["one black footed albatross"], "_": ["one _"]}


def test_the_default_templates():
    texts = data.prompt_ensemble(["zebra"])["zebra"]
    assert len(set(texts)) == len(TEMPLATES) and "a photo of a zebra." in texts
    assert all(text.count("zebra") == 1 and "{" not in text for text in texts)


@pytest.mark.parametrize(
    ("names", "templates", "message"),
    [
        ("cat", TEMPLATES, "`class_names` must be a list of str. Received: class_names='cat'"),
        (["cat", " "], TEMPLATES, "`class_names` must be .* Received: ' ' among"),
        (["cat", "dog", "cat"], TEMPLATES, "`class_names` must be different .* Received: 'cat'"),
        (["cat", 3], TEMPLATES, "`class_names` must be .* Received: 3 among"),
        (["cat"], ["a {}", "a photo"], r"`templates` must be .* templates=\['a photo'\]"),
        (["cat"], ["{} {}"], r"`templates` must be .* templates=\['\{\} \{\}'\]"),
        (["cat"], [], r"`templates` must be .* templates=\[\]"),
    ],
)
def test_bad_arguments_are_refused(names, templates, message):
    with pytest.raises(ValueError, match=message):
        data.prompt_ensemble(names, templates)
