"""Names of emoji in many languages: captions, and pairs of translations."""

import importlib.util
import re

import pandas

from tatl_keras.data.emoji_groups import groups_of
from tatl_keras.data.pairs import load_pairs
from tatl_keras.data.source import ROLES, Source

# Skin tones, the letters of flags of countries, and the tags of flags of their parts.
_LEFT_OUT = re.compile("[\U0001f3fb-\U0001f3ff\U0001f1e6-\U0001f1ff\U000e0020-\U000e007f]")
_CLOCKS = range(0x1F550, 0x1F568)  # "nine-thirty" is the whole name of one


def emoji_pairs(source, target, splits=("train", "test"), *, fractions=None, seed=0, verbose=True):
    """Names of the same emoji in two languages, about 1,660 pairs: a small real translation task.

    The names are Unicode's, as the package `emoji` carries them: "red apple", "roter apfel". They
    are short, two words in the mean, and no two emoji have the same name in a language. Capitals
    are kept where a name has them ("Mrs. Claus"). It is a hard task: with seed 0, 37 % of the
    English words held out are in no training name, 48 % of the German and 32 % of the Spanish ones.

    Skin tones, components, flags of countries and their parts, and what has no name yet in one of
    the languages, are left out. Near duplicates (man, woman and person doing the same, families,
    clocks, coloured hearts, …) share a group, and a group is on one side of a split. Groups follow
    from code points and English names, and splits from groups: whatever the languages, one seed
    holds out the same emoji. So a model that learns several pairs of languages sees none of them.

    Args:
        source: code of a language: en, de, es, fr, it, pt, ru, tr, ar, fa, id, ja, ko or zh.
        target: code of another language.
        splits: as in `load_pairs`; ids are code points, such as `"1f469-200d-1f373"`.
        fractions: as in `load_pairs`.
        seed: int.
        verbose: whether to print what was found, on stderr.

    Returns:
        What `load_pairs(f"emoji:{source}-{target}")` gives, which is the same.

    Raises:
        ValueError: a language is unknown, or both are the same.
        ImportError: the package `emoji` is not installed.

    Example:

    >>> from tatl_keras import data
    >>> train, test = data.emoji_pairs("en", "de", verbose=False)
    >>> dict(zip(train.rows["text"], train.rows["target"]))["green apple"]
    'grüner apfel'

    Reference: names from the Unicode Common Locale Data Repository, https://cldr.unicode.org,
    under the Unicode licence.
    """
    return load_pairs(
        f"emoji:{source}-{target}", splits, fractions=fractions, seed=seed, verbose=verbose
    )


def read(languages):
    """The pairs of two languages, such as `"en-de"`, as a `Source` without pictures."""
    known = _package().LANGUAGES
    parts = languages.split("-")
    if len(parts) != 2 or len(set(parts)) != 2 or not set(parts) <= set(known):
        raise ValueError(
            f"`source` must name two different languages of {', '.join(known)}, as 'emoji:en-de' "
            f"does. Received: source='emoji:{languages}'"
        )
    names = {language: names_in(language) for language in known}
    translated = set.intersection(*map(set, names.values()))
    chosen = sorted((_code(emoji), emoji) for emoji in translated if not _LEFT_OUT.search(emoji))
    named = [(code, _told_apart_by(code, names["en"][emoji])) for code, emoji in chosen]
    rows = pandas.DataFrame("", index=range(len(chosen)), columns=["row", *ROLES, "target"])
    rows["row"] = rows.index + 1
    rows["id"] = [code.lower() for code, _ in chosen]
    rows["text"] = [names[parts[0]][emoji] for _, emoji in chosen]
    rows["target"] = [names[parts[1]][emoji] for _, emoji in chosen]
    rows["group"] = groups_of(named)
    columns = {
        "text": parts[0],
        "target": parts[1],
        "id": "code points",
        "group": "near duplicates",
    }
    return Source(f"emoji:{languages}", rows, None, columns | {"split": None}, has_ids=True)


def names_in(language):
    """The name of each emoji that is not a mere component.

    Args:
        language: code of a language.

    Returns:
        A dict from emoji, fully qualified, to name, underscores read as spaces. New emoji may have
        no name yet, and are not in it.

    Raises:
        ImportError: the package `emoji` is not installed.

    Example:

    >>> names_in("fr")["\\N{RED APPLE}"]
    'pomme rouge'
    """
    package = _package()
    package.config.load_language(language)
    return {
        emoji: known[language].strip(":").replace("_", " ")
        for emoji, known in package.EMOJI_DATA.items()
        if known["status"] == package.STATUS["fully_qualified"] and language in known
    }


def _code(emoji):
    return "-".join(f"{ord(character):04X}" for character in emoji)


def _told_apart_by(code, name):
    return "clock face" if int(code.split("-")[0], 16) in _CLOCKS else name


def _package():
    if importlib.util.find_spec("emoji") is None:
        raise ImportError(
            "Names of emoji need the package emoji: pip install 'tatl_keras[quickstart]'"
        )
    import emoji

    return emoji
