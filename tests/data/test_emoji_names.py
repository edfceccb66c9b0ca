"""Names of emoji in pairs of languages: clean, and never held out on one side only."""

import itertools

import pandas
import pytest

emoji = pytest.importorskip("emoji", reason="needs the extra `quickstart`")

from tatl_keras import data  # noqa: E402
from tatl_keras.data import emoji_names  # noqa: E402

LANGUAGES = emoji.LANGUAGES


def characters(code):
    return "".join(chr(int(part, 16)) for part in code.split("-"))


@pytest.fixture(scope="module")
def found():
    """The rows of one pair of languages for each language, as (train, test)."""
    pairs = [("en", other) for other in LANGUAGES if other != "en"] + [("de", "es")]
    return {pair: [part.rows for part in data.emoji_pairs(*pair, verbose=False)] for pair in pairs}


def test_names_are_those_of_the_package(found):
    for (source, target), parts in found.items():
        for row in pandas.concat(parts)[::23].itertuples():
            known = emoji.EMOJI_DATA[characters(row.id)]
            for language, name in ((source, row.text), (target, row.target)):
                assert name and name == name.strip() and "_" not in name and ":" not in name
                assert f":{name.replace(' ', '_')}:" == known[language]


def test_sizes(found):
    for train, test in found.values():
        assert 1_600 < len(train) + len(test) < 1_900
        assert abs(len(test) / (len(train) + len(test)) - 0.2) < 0.005
        groups = pandas.concat([train, test])["group"].value_counts()
        assert 1_200 < len(groups) < 1_500 and groups.max() == 30


def test_what_is_left_out(found):
    train, test = found["en", "de"]
    for code in [*train["id"], *test["id"]]:
        points = [int(part, 16) for part in code.split("-")]
        assert not any(0x1F3FB <= p <= 0x1F3FF or 0x1F1E6 <= p <= 0x1F1FF for p in points)
        assert not any(p >= 0xE0000 for p in points)
        assert emoji.EMOJI_DATA[characters(code)]["status"] == emoji.STATUS["fully_qualified"]


def test_nothing_is_on_both_sides(found):
    """Neither emoji, groups nor names, in any language, in lower case as well."""
    for train, test in found.values():
        for column in ("id", "group", "text", "target"):
            one, other = ({text.casefold() for text in part[column]} for part in (train, test))
            assert one and other and not one & other, column
        assert not set(train["id"].str.replace("-fe0f", "")) & set(
            test["id"].str.replace("-fe0f", "")
        )


def test_one_seed_holds_out_the_same_emoji_in_all_languages(found):
    held_out = {tuple(test["id"]) for _, test in found.values()}
    assert len(held_out) == 1
    other = data.emoji_pairs("en", "de", "test", seed=1, verbose=False)
    assert set(other.ids) != set(held_out.pop())


@pytest.mark.parametrize(
    "together",
    [
        ("man cook", "woman cook", "cook"),
        ("one o’clock", "ten o’clock", "nine-thirty", "twelve-thirty"),
        ("red heart", "blue heart"),
        ("family", "family man woman girl boy"),
        ("keycap 1", "keycap 7"),
        ("person walking", "man walking facing right"),
    ],
)
def test_near_duplicates_share_a_group(found, together):
    group = pandas.concat(found["en", "de"]).set_index("text")["group"]
    assert len({group[name] for name in together}) == 1
    for name, other in itertools.combinations(("taco", "shark", "alarm clock", together[0]), 2):
        assert group[name] != group[other]


@pytest.mark.parametrize("languages", ["en-en", "en-xx", "en", "en-de-es", ""])
def test_wrong_languages(languages):
    message = f"`source` must name two different languages of en, .*source='emoji:{languages}'"
    with pytest.raises(ValueError, match=message):
        data.load_pairs(f"emoji:{languages}")


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(emoji_names.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"need the package emoji: pip install 'tatl_keras.quick"):
        data.emoji_pairs("en", "de")
