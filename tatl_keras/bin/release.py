"""tatl-release: which version of a served model is stable, and which is being tried.

    tatl-release --models_config=saved_models/models.config --model=pets
    tatl-release --models_config=saved_models/models.config --model=pets --canary=2
    tatl-release --models_config=saved_models/models.config --model=pets --stable=2
    tatl-release --models_config=saved_models/models.config --model=pets --rollback
    tatl-release --models_config=saved_models/models.config --model=pets --retire=canary

The first shows the versions, their labels, and what the server is to load. The others change the
labels in the server's --model_config_file; the server loads the versions that have one. --stable
gives the label "previous" to what was stable, which thus stays loaded, and --rollback goes back to
it. TensorFlow Serving must run with --model_config_file_poll_wait_seconds, so that it reads the
file again, and with --allow_version_labels_for_unavailable_models=true.

A server moves a label only to a version that it has loaded, and otherwise ignores the whole file.
So where there is a canary already, --canary=3 first has version 3 loaded, and moves the label when
called again. With --ask_server it waits for the server and does both. Requests without label go to
the newest version that is loaded, the canary too: clients should ask for "stable".

A version must be there, whole, and without errors that `tatl-export --check` would find.
"""

import contextlib
import json
import os
import sys
import tempfile
import time
import urllib.request

from absl import app, flags

import tatl_keras
from tatl_keras.bin import common, records

for _name in ("model", "models_config"):
    flags.declare_key_flag(_name)
_VERSIONS = flags.DEFINE_string(
    "versions",
    None,
    "Folder of the versions on this machine. Default: beside --models_config, the folder that is "
    "called as the last part of base_path; or base_path.",
)
_CANARY = flags.DEFINE_integer("canary", None, "The version to try.", lower_bound=0)
_STABLE = flags.DEFINE_integer("stable", None, "The version that is good.", lower_bound=0)
_ROLLBACK = flags.DEFINE_bool("rollback", False, "Make stable what was stable before.")
_RETIRE = flags.DEFINE_string("retire", None, "A label to take away, such as canary.")
_ASK_SERVER = flags.DEFINE_string(
    "ask_server",
    None,
    "The server's REST API, such as http://localhost:8501. Shows what it has loaded, and moves a "
    "label when its version is.",
)
_LOAD_TIMEOUT = flags.DEFINE_float(
    "load_timeout", 300.0, "Seconds to wait until a version is loaded.", lower_bound=0
)
for _name in ("register", "smoke", "debug"):
    flags.declare_key_flag(_name)

HELP = {
    "model": "The model's name in --models_config.",
    "smoke": "Try the program on a folder that it makes, and removes again.",
}
_POLL_SECONDS = 0.5


def run():
    common.run(main, sys.modules[__name__])


def main(arguments):
    """Does what one flag says, or shows how things are."""
    common.no_arguments(arguments)
    asked = [flag for flag in (_CANARY, _STABLE, _RETIRE) if flag.value is not None]
    asked += [_ROLLBACK] if _ROLLBACK.value else []
    if len(asked) > 1:
        names = " and ".join(f"--{flag.name}" for flag in asked)
        raise app.UsageError(f"one change must be asked for at a time. Received: {names}")
    with contextlib.ExitStack() as stack:
        if common.SMOKE.value:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            release = Release(_made_up(folder), "pets")
            release.canary(2)
        else:
            common.required(common.MODELS_CONFIG, common.MODEL)
            release = Release(
                common.MODELS_CONFIG.value, common.MODEL.value, _VERSIONS.value, _ASK_SERVER.value
            )
        if asked:
            change = getattr(release, asked[0].name)
            change() if asked[0] is _ROLLBACK else change(asked[0].value)
        print(release.table())


class Release:
    """The labels of one model, and the rules by which they move.

    Args:
        path: the server's --model_config_file.
        name: the model's name in it.
        folder: folder of the versions, or `None` to look for it.
        server: address of the server's REST API, or `None`.
    """

    def __init__(self, path, name, folder=None, server=None):
        self._config = tatl_keras.serving.ModelsConfig(path)
        self._name, self._server = name, server
        self._labels = self._config.labels(name)
        self._folder = folder or _folder_of(path, self._config.base_path(name))
        self._present = tatl_keras.serving.list_versions(self._folder)

    def canary(self, version):
        """Gives the label canary; see the module about one that is there already."""
        self._check("canary", version)
        if "stable" not in self._labels:
            raise ValueError(
                "--canary must have a stable version beside it. "
                f"Received: a model with labels {self._labels}. Give --stable first."
            )
        had = self._labels.get("canary", version)
        if had != version and version not in self._served():
            self._write(self._labels, also=[version])
            if self._server is None:
                print(
                    f"Version {version} is to be loaded; version {had} is the canary as long. "
                    "Call this again when the server has loaded it."
                )
                return
        if had != version:
            self._wait(version)
        self._write(self._labels | {"canary": version})

    def stable(self, version):
        """Gives the label stable, and previous to what had it."""
        self._check("stable", version)
        had = self._labels.get("stable", version)
        if had != version:
            if version not in self._served():
                raise ValueError(
                    "--stable must be a version that the server has loaded. Received: "
                    f"--stable={version}, with {self._served()} loaded. Make it the canary first."
                )
            self._wait(version)
        before = {} if had == version else {"previous": had}
        self._write(self._labels | {"stable": version} | before)

    def rollback(self):
        """Makes stable again what has the label previous. Only that it is there is looked at."""
        version = self._labels.get("previous")
        if version not in self._present:
            raise ValueError(
                "--rollback must have a version with the label previous to go back to. Received: "
                f"a model with labels {self._labels} and versions {self._present}."
            )
        rest = {label: v for label, v in self._labels.items() if label != "previous"}
        self._write(rest | {"stable": version})

    def retire(self, label):
        """Takes a label away; a version without any is unloaded."""
        if label not in self._labels or label == "stable":
            raise ValueError(
                "--retire must be a label that the model has, other than stable. "
                f"Received: --retire={label}, of a model with labels {self._labels}."
            )
        self._write({other: v for other, v in self._labels.items() if other != label})

    def table(self):
        """What there is, in lines."""
        states = {} if self._server is None else _states(self._server, self._name)
        served = self._served()
        listed = sorted({*self._present, *self._labels.values(), *states}, reverse=True)
        rows = [["version", "labels", "to be loaded", *(["server"] if self._server else [])]]
        for version in listed:
            labels = ", ".join(label for label, v in self._labels.items() if v == version)
            there = "yes" if version in served else "no"
            row = [str(version), labels or "-", there if version in self._present else "not there"]
            rows.append(row + ([states.get(version, "-")] if self._server else []))
        return f"{self._name}: {self._folder}\n{records.table(rows)}"

    def _served(self):
        return self._config.served(self._name, self._present)

    def _check(self, flag, version):
        if version not in self._present:
            raise ValueError(
                f"--{flag} must be a version in {self._folder} that holds a SavedModel: "
                f"{self._present}. Received: --{flag}={version}"
            )
        folder = tatl_keras.serving.version_folder(self._folder, version)
        found = [str(f) for f in tatl_keras.serving.lint(folder) if f.is_error]
        if found:
            raise ValueError(
                f"--{flag} must be a version that TensorFlow Serving 2.20 can serve. Received: "
                f"--{flag}={version}, which has\n" + "\n".join(found)
            )

    def _write(self, labels, also=()):
        self._config.set_labels(self._name, labels, also)
        self._config.write()
        self._labels = dict(sorted(labels.items()))

    def _wait(self, version):
        """Until the server has loaded a version, if it can be asked."""
        if self._server is None:
            return
        until = time.monotonic() + _LOAD_TIMEOUT.value
        while (state := _states(self._server, self._name).get(version)) != "AVAILABLE":
            if time.monotonic() > until:
                raise RuntimeError(
                    f"The server must load version {version} before a label moves to it. Received: "
                    f"state {state} after {_LOAD_TIMEOUT.value:g} s. Its log says why."
                )
            time.sleep(_POLL_SECONDS)


def _states(server, name):
    """Dict from version to state, as the server's REST API tells."""
    address = f"{server if '://' in server else f'http://{server}'}/v1/models/{name}"
    with urllib.request.urlopen(address, timeout=10) as reply:
        status = json.load(reply)["model_version_status"]
    return {int(version["version"]): version["state"] for version in status}


def _folder_of(path, base_path):
    """The folder that the server sees as `base_path`."""
    beside = os.path.join(os.path.dirname(path), os.path.basename(os.path.normpath(base_path)))
    for folder in (beside, base_path):
        if os.path.isdir(folder):
            return folder
    raise FileNotFoundError(
        "--versions must be given where neither of these is a folder. Received: "
        f"{beside!r}, {base_path!r}"
    )


def _made_up(folder):
    """A server's file, and two versions of a model."""
    import tensorflow as tf

    module = tf.Module()
    rows = tf.TensorSpec([None], tf.string, name="text")
    module.serve = tf.function(lambda text: {"label": text}, input_signature=[rows])
    for version in ("1", "2"):
        tf.saved_model.save(
            module, os.path.join(folder, "pets", version), {"serving_default": module.serve}
        )
    path = os.path.join(folder, "models.config")
    with open(path, "w", encoding="utf-8") as file:
        file.write(
            'model_config_list { config { name: "pets" base_path: "/models/pets" '
            'model_platform: "tensorflow" version_labels { key: "stable" value: 1 } } }'
        )
    return path


if __name__ == "__main__":
    run()
