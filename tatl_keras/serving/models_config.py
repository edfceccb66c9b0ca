"""`models.config`: which versions of which models a server loads, and what they are called."""

import os

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from tatl_keras._files import write_whole
from tatl_keras.serving import versions

# The parts of tensorflow_serving/config/*.proto that are understood, of package tensorflow.serving:
# message → field → (number, type); a list is a repeated field, the names of `_ONE_OF` exclude each
# other.
_MESSAGES = {
    "ModelServerConfig": {"model_config_list": (1, "ModelConfigList")},
    "ModelConfigList": {"config": (1, ["ModelConfig"])},
    "ModelConfig": {
        "name": (1, "string"),
        "base_path": (2, "string"),
        "model_platform": (4, "string"),
        "logging_config": (6, "LoggingConfig"),
        "model_version_policy": (7, "ServableVersionPolicy"),
        "version_labels": (8, ["VersionLabel"]),
    },
    "VersionLabel": {"key": (1, "string"), "value": (2, "int64")},
    "ServableVersionPolicy": {
        "latest": (100, "Latest"),
        "all": (101, "All"),
        "specific": (102, "Specific"),
    },
    "Latest": {"num_versions": (1, "uint32")},
    "All": {},
    "Specific": {"versions": (1, ["int64"])},
    "LoggingConfig": {
        "log_collector_config": (1, "LogCollectorConfig"),
        "sampling_config": (2, "SamplingConfig"),
    },
    "LogCollectorConfig": {"type": (1, "string"), "filename_prefix": (2, "string")},
    "SamplingConfig": {"sampling_rate": (1, "double")},
}
_ONE_OF = "ServableVersionPolicy"
_SCALARS = {"double": 1, "int64": 3, "string": 9, "uint32": 13}  # as in descriptor.proto
_MESSAGE, _OPTIONAL, _REPEATED = 11, 1, 3


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

    What is not understood is an error, so that nothing is lost in writing. Of comments, those above
    the first field are kept. A server that polls the file never reads half of it.

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
            self._message = text_format.Parse(text, _classes()["ModelServerConfig"]())
        except (UnicodeDecodeError, text_format.ParseError) as error:
            raise ValueError(
                "`path` must be a ModelServerConfig as text, of fields that are understood. "
                f"Received: path={self.path!r}: {error}"
            ) from None
        self._header = []
        for line in text.splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                break
            self._header.append(line)

    @property
    def names(self):
        """List of the models' names, in the order of the file."""
        return [config.name for config in self._message.model_config_list.config]

    def base_path(self, name):
        """Where the server sees the folder of the versions."""
        return self._model(name).base_path

    def labels(self, name):
        """Dict from label to version, by label."""
        return {pair.key: pair.value for pair in sorted(self._model(name).version_labels, key=_key)}

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
        del config.version_labels[:]
        for label, version in sorted(labels.items()):
            config.version_labels.add(key=label, value=version)
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
                found |= {pair.value for pair in config.version_labels}
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
        self._contents = "\n".join([*self._header, text]).encode()
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


def _key(pair):
    return pair.key


def _classes():
    """Classes of messages, of descriptors that no other part of the process can see."""
    file = descriptor_pb2.FileDescriptorProto(name="models_config.proto", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if name == _ONE_OF:
            message.oneof_decl.add(name="policy_choice")
        for field, (number, kind) in fields.items():
            label = _REPEATED if isinstance(kind, list) else _OPTIONAL
            kind = kind[0] if isinstance(kind, list) else kind
            added = message.field.add(name=field, number=number, label=label)
            added.type = _SCALARS.get(kind, _MESSAGE)
            if kind not in _SCALARS:
                added.type_name = f".{kind}"
            if name == _ONE_OF:
                added.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClassesForFiles([file.name], pool)
