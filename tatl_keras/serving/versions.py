"""The numbered folders of a model: the next one, and those that may go."""

import errno
import os
import re
import shutil
import tempfile

_NUMBER = re.compile("[0-9]+")
_PRUNED = ".pruned-"
_MODEL = "saved_model.pb"
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


def list_versions(base):
    """Sorted numbers of the versions in a folder that hold a SavedModel.

    Names that are not made of digits alone, hidden and unfinished folders do not count.

    Example:

    >>> list_versions("saved_models/no_such_model")
    []
    """
    return sorted(
        number
        for number, name in _numbered(base)
        if os.path.isfile(os.path.join(base, name, _MODEL))
    )


def version_folder(base, version):
    """Path of a version in a folder of versions, whose name may have zeros in front.

    Raises:
        FileNotFoundError: it is not there.

    Example:

    >>> base = tempfile.mkdtemp()
    >>> os.mkdir(os.path.join(base, "0007"))
    >>> os.path.basename(version_folder(base, 7))
    '0007'
    """
    found = [name for number, name in sorted(_numbered(base)) if number == version]
    if not found:
        raise FileNotFoundError(
            f"`version` must be a folder in {os.fspath(base)!r}. Received: version={version}"
        )
    return os.path.join(base, found[-1])


def next_version(base):
    """The integer after the largest that names anything in a folder; 1 where there is none.

    Another process may take it meanwhile: `publish` notices.

    Args:
        base: folder of versions, such as `saved_models/pets`; it need not exist.

    Example:

    >>> base = tempfile.mkdtemp()
    >>> os.mkdir(os.path.join(base, "7"))
    >>> next_version(base)
    8
    """
    return max((number for number, _ in _numbered(base)), default=0) + 1


def publish(folder, base):
    """Renames a finished folder to the next version, so that a server sees it whole or not at all.

    A rename fails where another process was first; then it is the version after that.

    Args:
        folder: a folder that is not empty, on the disk of `base`.
        base: folder of versions.

    Returns:
        The version, an int.

    Raises:
        ValueError: `folder` holds no SavedModel.

    Example:

    >>> base = tempfile.mkdtemp()
    >>> folder = os.path.join(base, ".exporting")
    >>> os.mkdir(folder)
    >>> _ = open(os.path.join(folder, "saved_model.pb"), "wb").write(b"")
    >>> publish(folder, base), os.listdir(base)
    (1, ['1'])
    """
    if not os.path.isfile(os.path.join(folder, _MODEL)):
        raise ValueError(
            f"`folder` must hold a SavedModel ({_MODEL}). Received: folder={os.fspath(folder)!r}"
        )
    while True:
        version = next_version(base)
        try:
            os.rename(folder, os.path.join(base, str(version)))
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
        else:
            return version


def prune(base, keep, protected=()):
    """Removes the oldest versions but `keep` of them, and what earlier calls have left behind.

    A version is first renamed to a hidden name, then deleted: a server that polls sees it whole
    or not at all. What holds no SavedModel is never touched.

    Args:
        base: folder of versions, such as `saved_models/pets`.
        keep: int ≥ 1, how many of the newest versions stay.
        protected: versions that stay too, as of `ModelsConfig.named`.

    Returns:
        A sorted list of the versions that are gone.

    Raises:
        ValueError: `keep` is not a positive integer.

    Example:

    >>> base = tempfile.mkdtemp()
    >>> for version in range(1, 6):
    ...     os.mkdir(os.path.join(base, str(version)))
    ...     _ = open(os.path.join(base, str(version), "saved_model.pb"), "wb").write(b"")
    >>> prune(base, keep=2, protected={1})
    [2, 3]
    >>> list_versions(base)
    [1, 4, 5]
    """
    if not isinstance(keep, int) or keep < 1:
        raise ValueError(
            f"`keep` must be a positive integer. Received: keep={keep!r}. The newest version stays."
        )
    removed = []
    for version in list_versions(base)[:-keep]:
        if version not in protected and _hide(base, version):
            removed.append(version)
    for name in os.listdir(base):
        if name.startswith(_PRUNED):
            shutil.rmtree(os.path.join(base, name), ignore_errors=True)
    return removed


def _hide(base, version):
    """Renames a version to a name of its own; False where another process has done so."""
    hidden = tempfile.mkdtemp(prefix=f"{_PRUNED}{version}-", dir=base)
    try:
        os.rename(version_folder(base, version), os.path.join(hidden, str(version)))
    except FileNotFoundError:
        return False
    return True


def _numbered(base):
    """(number, name) of all in a folder that is called by a number, as "3" or "0003"."""
    names = os.listdir(base) if os.path.isdir(base) else []
    return [(int(name), name) for name in names if _NUMBER.fullmatch(name)]
