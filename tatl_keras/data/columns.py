"""Which column of a table, or feature of a TFDS data set, holds what."""

import difflib

PICTURE_ENDINGS = (".jpg", ".jpeg", ".jpe", ".png", ".gif", ".bmp", ".webp")

# The first name of each role wins over the others; two of the others are ambiguous.
NAMES = {
    "image": (
        *("image", "image_path", "image_file", "image_name", "img", "img_path", "picture"),
        *("photo", "path", "file", "file_path", "filepath", "file_name", "filename"),
    ),
    "label": ("label", "class", "class_name", "category", "target"),
    "split": ("split", "subset", "fold", "partition"),
    "group": ("group", "group_id"),
    "id": ("id", "uid", "key"),
    "text": ("text", "caption", "captions", "title", "description", "tags", "keywords"),
    "target": ("target", "translation", "target_text"),
}


def choose(frame, wanted, name):
    """Finds the column of each role: the one asked for, or else by name and content.

    Args:
        frame: `pandas.DataFrame` of strings, one column per column of the file.
        wanted: dict from the roles there are to a column name, `False` (there is none) or `None`
            (look for it). `text` may also be a list of columns.
        name: what to call the table in messages.

    Returns:
        A dict from each role to a column name, a list of them (`text` only) or `None`.

    Raises:
        ValueError: a column asked for is absent, or several columns fit a role equally well.
    """
    chosen = {}
    roles = [role for role in NAMES if role in wanted]
    for role in roles:
        if wanted[role] is False:
            chosen[role] = None
        elif wanted[role] is not None:
            chosen[role] = _named(frame, role, wanted[role], name)
    for role in roles:
        if role not in chosen:
            used = {c for v in chosen.values() for c in (v if isinstance(v, list) else [v])}
            free = [column for column in frame.columns if column not in used]
            chosen[role] = _detect(frame, role, free, name)
    return chosen


def pick(role, candidates, name):
    """Takes the one candidate, or the one that bears the role's own name.

    Raises:
        ValueError: several candidates are left.
    """
    best = [c for c in candidates if canonical(c) == NAMES[role][0]] or candidates
    if len(best) > 1:
        raise ValueError(
            f"`{role}` must be named when several columns fit. Received: {role}=None, and {name} "
            f"has {', '.join(map(repr, best))}. Pass {role}={best[0]!r}, for one, or {role}=False."
        )
    return best[0] if best else None


def absent(role, value, available, name):
    """The error for a column that was asked for and is not there."""
    close = difflib.get_close_matches(str(value), list(available), n=1)
    hint = f"Did you mean {close[0]!r}?" if close else "Names are case-sensitive."
    return ValueError(
        f"`{role}` must be one of the columns of {name}: {', '.join(map(repr, available))}. "
        f"Received: {role}={value!r}. {hint}"
    )


def canonical(column):
    """A column's name as it is compared: lower case, words joined by underscores."""
    return str(column).strip().lower().replace(" ", "_").replace("-", "_")


def by_name(role, available):
    """The columns whose name fits a role."""
    return [column for column in available if canonical(column) in NAMES[role]]


def _named(frame, role, value, name):
    parts = list(value) if role == "text" and isinstance(value, (list, tuple)) else [value]
    for part in parts:
        if part not in frame.columns:
            raise absent(role, part, list(frame.columns), name)
    return parts if len(parts) > 1 else parts[0]


def _detect(frame, role, free, name):
    named = by_name(role, free)
    if role == "image":
        pictures = [column for column in free if _holds_pictures(frame[column])]
        return pick(role, [c for c in named if c in pictures] or pictures or named, name)
    if role == "split":
        named = [column for column in named if _holds_split_names(frame[column])]
    return pick(role, named, name)


def _holds_pictures(values):
    """True when most of the first values end like a picture file on a file system."""
    some = [v.strip().lower() for v in values[values != ""].head(50)]
    fits = [v.endswith(PICTURE_ENDINGS) and not v.startswith(("http:", "https:")) for v in some]
    return bool(some) and sum(fits) > len(some) / 2


def _holds_split_names(values):
    from tatl_keras.data.splits import COMMON, plain_name

    return {plain_name(v) for v in values.unique() if v} <= set(COMMON)
