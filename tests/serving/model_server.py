"""A double of TensorFlow Serving's choice of versions and labels; it loads nothing.

As `ServerCore::ReloadConfig`, `UpdateModelVersionLabelMap` and file_system_storage_path_source.cc
have it, started with `--allow_version_labels_for_unavailable_models`.
"""

import re

NUMBER = re.compile(r"\s*[+]?[0-9]+\s*")


class ModelServer:
    """One model of a file; `base` is where the versions are."""

    def __init__(self, path, base):
        self.path, self.base = path, base
        self.labels, self.policy, self.loaded, self.refused = {}, None, [], None

    def read_config(self):
        """What happens every `--model_config_file_poll_wait_seconds`."""
        labels, policy = parse(self.path.read_text(encoding="utf-8"))
        for label, version in labels.items():
            moved = self.labels.get(label, version) != version
            if moved and version not in self.loaded:
                self.refused = f"label {label}: version {version} is not available"
                return  # neither the labels nor the versions are taken over
        self.refused, self.labels, self.policy = None, labels, policy

    def read_versions(self):
        """What happens every `--file_system_poll_wait_seconds`."""
        found = sorted(
            int(path.name) for path in self.base.iterdir() if NUMBER.fullmatch(path.name)
        )
        if isinstance(self.policy, list):
            found = [version for version in found if version in self.policy]
        elif self.policy != "all":
            found = found[-self.policy :]
        for version in found:
            if version not in self.loaded:
                assert (self.base / str(version) / "saved_model.pb").is_file()
        self.loaded = found

    def poll(self):
        self.read_config()
        self.read_versions()

    def answers(self, label=None):
        """The version that answers; an error where there is none."""
        version = max(self.loaded) if label is None else self.labels[label]
        if version not in self.loaded:
            raise LookupError(f"Servable not found for request: Specific(pets, {version})")
        return version


def parse(text):
    """Labels and policy (versions, "all", or how many) of a file with one model."""
    text = re.sub(r"#.*", "", text)
    pairs = re.findall(r'version_labels\s*\{\s*key:\s*"(\w+)"\s*value:\s*(\d+)\s*\}', text)
    labels = {label: int(version) for label, version in pairs}
    assert len(pairs) == text.count("version_labels") == len(labels)
    if "specific" in text:
        inside = re.search(r"specific\s*\{([^}]*)\}", text)[1]
        return labels, [int(version) for version in re.findall(r"versions:\s*(\d+)", inside)]
    if re.search(r"\ball\s*\{\s*\}", text):
        return labels, "all"
    count = re.search(r"num_versions:\s*(\d+)", text)
    return labels, int(count[1]) if count else 1
