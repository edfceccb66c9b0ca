"""`models.config`: which versions of which models a server loads, and what they are called."""

import functools
import os
import re

from google.protobuf import message_factory, text_format

from tatl_keras._descriptors import make_pool
from tatl_keras._files import write_whole
from tatl_keras.serving import versions

# The parts of tensorflow_serving/config/*.proto that are understood, as `make_pool` takes them.
_PACKAGE = "tensorflow.serving"
_FIRST_WORD = re.compile(r"\s*(\w+|[^\s#])")
_MESSAGES = {
    "ModelServerConfig": [(1, "model_config_list", "ModelConfigList")],
    "ModelConfigList": [(1, "config", "*ModelConfig")],
    "ModelConfig": [
        (1, "name", "string"),
        (2, "base_path", "string"),
        (4, "model_platform", "string"),
        (7, "model_version_policy", "ServableVersionPolicy"),
        (8, "version_labels", "map int64"),
        (6, "logging_config", "LoggingConfig"),
    ],
    "ServableVersionPolicy": [
        (100, "latest", "Latest", "policy_choice"),
        (101, "all", "All", "policy_choice"),
        (102, "specific", "Specific", "policy_choice"),
    ],
    "Latest": [(1, "num_versions", "uint32")],
    "All": [],
    "Specific": [(1, "versions", "*int64")],
    "LoggingConfig": [
        (1, "log_collector_config", "LogCollectorConfig"),
        (2, "sampling_config", "SamplingConfig"),
    ],
    "LogCollectorConfig": [(1, "type", "string"), (2, "filename_prefix", "string")],
    "SamplingConfig": [(1, "sampling_rate", "double")],
}


class ModelsConfig:
    """A server's `--model_config_file`, read, changed and written back.

        model_config_list {
          config {
            name: "pets"
            base_path: "/models/pets"
            model_platform: "tensorflow"
            model_version_policy { specific { versions: 1 versions: 2 } }
            version_labels { key: "stable" value: 1 }
            version_labels { key: "canary" value: 2 }
          }
        }

    What is not understood is an error, so that nothing is lost in writing. Comments on lines of
    their own are kept, before the field that they stood before. A server that polls the file never
    reads half of it.

    Args:
        path: the file.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is no such file, or has a field that is not understood.

    Example:

    >>> import tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "models.config")
    >>> text = 'model_config_list { config { name: "pets" base_path: "/models/pets" } }'
    >>> _ = open(path, "w").write(text)
    >>> config = ModelsConfig(path)
    >>> config.set_labels("pets", {"stable": 1, "canary": 2})
    >>> config.write()
    >>> ModelsConfig(path).labels("pets"), ModelsConfig(path).served("pets", [1, 2, 3])
    ({'canary': 2, 'stable': 1}, [1, 2])
    """

    def __init__(self, path):
        self.path = os.fspath(path)
        if not os.path.isfile(self.path):
            raise FileNotFoundError(
                "`path` must be the server's --model_config_file. "
                f"Received: path={self.path!r}, which is no file."
            )
        self._contents = self._read()
        try:
            text = self._contents.decode()
            self._message = text_format.Parse(text, _config_class()())
        except (UnicodeDecodeError, text_format.ParseError) as error:
            raise ValueError(
                "`path` must be a ModelServerConfig as text, of fields that are understood. "
                f"Received: path={self.path!r}: {error}"
            ) from None
        self._comments = _comments(text)

    @property
    def names(self):
        """List of the models' names, in the order of the file."""
        return [config.name for config in self._message.model_config_list.config]

    def base_path(self, name):
        """Where the server sees the folder of the versions."""
        return self._model(name).base_path

    def labels(self, name):
        """Dict from label to version, by label."""
        return dict(sorted(self._model(name).version_labels.items()))

    def served(self, name, present):
        """Which versions the server loads.

            specific    those that the file lists
            latest      the largest `num_versions`, 1 by default
            all         all

        Args:
            name: a model's name.
            present: list of the versions that there are.

        Returns:
            A sorted list of those of `present` that the policy chooses.
        """
        policy = self._model(name).model_version_policy
        chosen = policy.WhichOneof("policy_choice")
        if chosen == "specific":
            return sorted(set(present) & set(policy.specific.versions))
        if chosen == "all":
            return sorted(present)
        return sorted(present)[-max(policy.latest.num_versions, 1) :]

    def set_labels(self, name, labels, also=()):
        """Gives labels; the server is to load what has one, and nothing else.

        Args:
            name: a model's name.
            labels: dict from label to version, at least one; it replaces those that there are.
            also: further versions to load.

        Raises:
            ValueError: there is no label, so that the server would load nothing.
        """
        if not labels:
            raise ValueError(f"`labels` must hold at least one label. Received: labels={labels}")
        config = self._model(name)
        config.version_labels.clear()
        config.version_labels.update(labels)
        config.model_version_policy.specific.versions[:] = sorted({*labels.values(), *also})

    def named(self, base):
        """Versions that must not go away: those with a label or listed, the latest served.

        Models are found by the last part of `base_path`, since the rest is the server's.

        Args:
            base: folder of versions.

        Returns:
            A set of int.
        """
        last = os.path.basename(os.path.realpath(base))
        found = set()
        for config in self._message.model_config_list.config:
            if os.path.basename(os.path.normpath(config.base_path)) == last:
                policy = config.model_version_policy
                found |= set(config.version_labels.values())
                found |= set(policy.specific.versions)
                if policy.WhichOneof("policy_choice") in (None, "latest"):
                    found |= set(self.served(config.name, versions.list_versions(base)))
        return found

    def write(self):
        """Writes the file beside and renames.

        Raises:
            ValueError: another process has changed it since it was read.
        """
        if self._read() != self._contents:
            raise ValueError(
                "`path` must be as it was read. Received: a file that has been changed meanwhile, "
                f"path={self.path!r}. Look at it, and try again."
            )
        text = text_format.MessageToString(self._message)
        self._contents = _with_comments(text, self._comments).encode()
        write_whole(self.path, self._contents)

    def _read(self):
        with open(self.path, "rb") as file:
            return file.read()

    def _model(self, name):
        found = [c for c in self._message.model_config_list.config if c.name == name]
        if len(found) != 1:
            raise ValueError(
                f"`name` must be a model of {self.path}: {self.names}. Received: name={name!r}, "
                f"which is there {len(found)} times"
            )
        return found[0]


def _comments(text):
    """Dict from a place, as of `_places`, to the lines of comment before it."""
    found, waiting = {}, []
    for line, place in _places(text):
        if place is None:
            waiting.append(line.strip())
            continue
        if any(waiting):
            found.setdefault(place, []).extend(waiting)
        waiting = []
    return found | {None: waiting}


def _with_comments(text, comments):
    """A text with comments in their places; at the end, where there is no such place any more."""
    comments, lines = dict(comments), []
    last = comments.pop(None)
    for line, place in _places(text):
        indent = line[: len(line) - len(line.lstrip())]
        lines += [indent + c if c else c for c in comments.pop(place, [])]
        lines.append(line)
    homeless = [comment for rest in comments.values() for comment in rest]
    return "\n".join([*lines, *homeless, *last]).rstrip() + "\n"


def _places(text):
    """Pairs of a line and its place, (number of the model, first word); `None` for no field."""
    model = 0
    for line in text.splitlines():
        word = _FIRST_WORD.match(line)
        model += word is not None and word[1] == "config"
        yield line, (model, word[1]) if word else None


@functools.cache
def _config_class():
    pool = make_pool("tatl_keras/models_config.proto", _PACKAGE, _MESSAGES)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f"{_PACKAGE}.ModelServerConfig")
    )
