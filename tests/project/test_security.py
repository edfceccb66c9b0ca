"""Loading a model of a stranger rebuilds known classes and reads arrays; it runs nothing."""

import base64
import contextlib
import io
import json
import marshal
import os
import pickle
import re
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest

from tatl_keras import encoders, fusion, zoo
from tatl_keras.bin import trained
from tests.project import source

WATCHED = {
    "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "marshal.loads",
    "pickle.find_class", "socket.connect", "socket.getaddrinfo", "urllib.Request",
}  # fmt: skip
_seen = []
_watching = [False]


def _watch(event, arguments):
    if not _watching[0] or event not in WATCHED:
        return
    if not sys._getframe(1).f_code.co_filename.startswith("<frozen importlib"):  # reads .pyc files
        _seen.append((event, str(arguments)[:80]))


sys.addaudithook(_watch)


class Watch:
    """Notes what happens inside the block that would run a stranger's code or call out."""

    def __enter__(self):
        _seen.clear()
        _watching[0] = True
        return _seen

    def __exit__(self, *_):
        _watching[0] = False


@pytest.fixture(scope="module")
def model():
    return zoo.build("test_efficientnet_image_only", 2, seed=0)


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    """A `.keras` file and a preset folder of the same small model."""
    folder = tmp_path_factory.mktemp("saved")
    model.save(folder / "model.keras")
    model.save_to_preset(folder / "preset")
    return folder


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, contents):
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in contents.items():
            archive.writestr(name, value)
    return str(path)


def marker():
    """Code that would be seen."""
    import os

    os.system("true")


def function(module, name, **more):
    return {"class_name": "function", "module": module, "config": name, "registered_name": name,
            **more}  # fmt: skip


def layer(name, **config):
    return {"class_name": name, "module": "keras.layers", "registered_name": None, "config": config}


def class_of(module, name, **config):
    return {"class_name": name, "module": module, "registered_name": name, "config": config}


CODE = base64.b64encode(marshal.dumps(marker.__code__)).decode()
BYTECODE = {"class_name": "__lambda__", "config": {"value": [CODE, None, None]}}
PICKLED = base64.b64encode(pickle.dumps(os.system)).decode()
IMPORTS_TORCH = "pickled torch"
PAYLOADS = {
    "lambda": layer("Lambda", function=BYTECODE),
    "bare lambda": BYTECODE,
    "lambda in an activation": layer("Dense", units=1, activation=BYTECODE),
    "lambda in an initializer": layer("Dense", units=1, kernel_initializer=BYTECODE),
    "os.system": function("os", "system"),
    "eval": function("builtins", "eval"),
    "exec as a class": class_of("builtins", "exec", source="import os; os.system('true')"),
    "Popen": class_of("subprocess", "Popen", args=["true"]),
    "a class that is imported": class_of("antigravity", "Popen"),
    "os of Keras": class_of("keras.src.utils.file_utils", "os"),
    "a function of KerasHub": function("keras_hub.src.utils.preset_utils", "get_file"),
    "get_file": function("keras.utils", "get_file"),
    "get_file as a class": class_of("keras.utils", "get_file", origin="http://127.0.0.1:1/x"),
    "get_file in an activation": layer(
        "Dense", units=1, activation=function("keras.utils", "get_file")
    ),
    "leave to be unsafe": function("keras.config", "enable_unsafe_deserialization"),
    "load_model": function("keras.saving", "load_model"),
    "a SavedModel": layer("TFSMLayer", filepath="http://127.0.0.1:1/x"),
    IMPORTS_TORCH: layer(
        "TorchModuleWrapper", module={"class_name": "__bytes__", "config": {"value": PICKLED}}
    ),
    "a table from a file": layer("StringLookup", vocabulary="/etc/hostname"),
    "a vocabulary from a file": {
        "class_name": "BertTokenizer", "module": "keras_hub.src.models.bert.bert_tokenizer",
        "registered_name": "keras_hub>BertTokenizer", "config": {"vocabulary": "/etc/hostname"},
    },
}  # fmt: skip
REFUSED = (ValueError, TypeError)


def check_refused(load, why=REFUSED):
    with Watch() as seen, pytest.raises(why):
        load()
    assert not seen


def test_the_watch_sees_what_a_payload_would_do():
    with Watch() as seen:
        marshal.loads(base64.b64decode(CODE))
        os.system("true")
        pickle.loads(base64.b64decode(PICKLED))
    assert {event for event, _ in seen} == {"marshal.loads", "os.system", "pickle.find_class"}


def test_honest_files_are_loaded_without_any_of_it(saved):
    with Watch() as seen:
        models = [trained.load_model(str(saved / "model.keras")), zoo.from_preset(saved / "preset")]
    assert [model.num_classes for model in models] == [2, 2] and not seen


KINDS = [
    pytest.param(kind, marks=pytest.mark.large) if kind == IMPORTS_TORCH else kind
    for kind in PAYLOADS
]


@pytest.mark.parametrize("kind", KINDS)
def test_no_config_of_a_stranger_runs(saved, kind, tmp_path):
    contents = members(saved / "model.keras")
    config = json.loads(contents["config.json"])
    config["config"]["image_encoder"] = PAYLOADS[kind]
    contents["config.json"] = json.dumps(config)
    path = write(tmp_path / "model.keras", contents)
    check_refused(lambda: trained.load_model(path))
    preset = json.loads((saved / "preset" / "config.json").read_text(encoding="utf-8"))
    preset["model"]["config"]["image_encoder"] = PAYLOADS[kind]
    (tmp_path / "config.json").write_text(json.dumps(preset), encoding="utf-8")
    check_refused(lambda: zoo.from_preset(tmp_path))
    check_refused(lambda: fusion.get(PAYLOADS[kind]))
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "config.json").write_text(json.dumps(PAYLOADS[kind]), encoding="utf-8")
    check_refused(lambda: encoders.build_image(str(tmp_path / "encoder")))


@pytest.mark.parametrize("part", ["loss", "optimizer", "metrics"])
@pytest.mark.parametrize("kind", ["bare lambda", "os.system", "Popen", "get_file"])
def test_neither_does_what_it_was_compiled_with(model, part, kind):
    check_refused(lambda: model.compile_from_config({part: PAYLOADS[kind]}))


def pickled_arrays():
    file = io.BytesIO()
    np.savez(file, **{"fusion/0": np.array([Marker()], object)})
    return file.getvalue()


class Marker:
    """Runs a command where it is unpickled."""

    def __reduce__(self):
        return os.system, ("true",)


def test_pickled_arrays_are_not_unpickled(saved, tmp_path):
    contents = members(saved / "model.keras")
    del contents["model.weights.h5"]
    path = write(tmp_path / "model.keras", contents | {"model.weights.npz": pickled_arrays()})
    check_refused(lambda: trained.load_model(path))
    for name in ("config.json", "weights.npz"):
        (tmp_path / name).write_bytes((saved / "preset" / name).read_bytes())
    (tmp_path / "weights.npz").write_bytes(pickled_arrays())
    (tmp_path / "assets").mkdir()
    check_refused(lambda: zoo.from_preset(tmp_path), (*REFUSED, KeyError))


@pytest.mark.parametrize("kind", ["external link", "external data"])
def test_weights_of_other_files_are_not_read(saved, kind, tmp_path):
    secret = np.arange(4, dtype="float32") + 0.123
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["secret"] = secret
    secret.tofile(tmp_path / "secret.bin")
    contents = members(saved / "model.keras")
    (tmp_path / "weights.h5").write_bytes(contents["model.weights.h5"])
    with h5py.File(tmp_path / "weights.h5", "a") as file:
        found = []
        file.visititems(lambda name, x: found.append(name) if isinstance(x, h5py.Dataset) else None)
        for name in found:
            shape = file[name].shape
            del file[name]
            if kind == "external link":
                file[name] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/secret")
            else:
                outside = [(str(tmp_path / "secret.bin"), 0, h5py.h5f.UNLIMITED)]
                file.create_dataset(name, shape, "float32", external=outside)
    contents["model.weights.h5"] = (tmp_path / "weights.h5").read_bytes()
    path = write(tmp_path / "model.keras", contents)
    check_refused(lambda: trained.load_model(path), (*REFUSED, KeyError))


def test_no_member_of_an_archive_leaves_its_folder(saved, tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    names = ["../evil", "assets/../../evil", str(tmp_path / "evil"), "assets/../evil"]
    evil = {name: b"x" for name in names} | {"assets/more": b"y"}
    path = write(inner / "model.keras", members(saved / "model.keras") | evil)
    with Watch() as seen, contextlib.suppress(*REFUSED):
        trained.load_model(path)
    assert not seen and not [file for file in tmp_path.rglob("*") if "evil" in file.name]


@pytest.mark.parametrize("name", ["model.h5", "model.hdf5", "model", "model.keras.h5"])
def test_other_formats_are_not_read(name, tmp_path):
    with h5py.File(tmp_path / name, "w") as file:
        file.attrs["model_config"] = json.dumps(PAYLOADS["lambda"])
    message = f"must be a .keras file or a workdir. Received: path='.*{re.escape(name)}'"
    with pytest.raises(ValueError, match=message):
        trained.load_model(str(tmp_path / name))


UNSAFE = {
    "safe mode off": r"safe_mode\s*=\s*False|enable_unsafe_deserialization\(",
    "pickle": r"\b(?:pickle|cPickle|dill|cloudpickle|joblib)\.(?:load|loads|Unpickler)\b",
    "pickled arrays": r"allow_pickle\s*=\s*True",
    "YAML that builds objects": r"yaml\.(?:load|unsafe_load|full_load)\(",
    "code out of strings": r"(?<![\w.])(?:eval|exec)\(",
    "bytecode": r"marshal\.loads|func_load",
    "a shell": r"os\.system\(|os\.popen\(|shell\s*=\s*True",
}


@pytest.mark.parametrize("what", UNSAFE)
def test_the_library_has_no(what):
    found = [
        f"{path.relative_to(source.REPO)}:{number}"
        for path in source.library_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(UNSAFE[what], line)
    ]
    assert not found


def test_every_npz_is_read_without_pickle():
    loads = [
        (path, match)
        for path in source.library_files()
        for match in re.findall(r"np\.load\(.*", path.read_text(encoding="utf-8"))
    ]
    assert loads and all("allow_pickle=False" in line for _, line in loads)


def test_setup_cfg_asks_for_a_keras_without_the_known_holes():
    text = (source.REPO / "setup.cfg").read_text(encoding="utf-8")
    (lowest,) = re.findall(r"^    keras>=(\d+)\.(\d+)", text, re.MULTILINE)
    assert tuple(map(int, lowest)) >= (3, 14)
    assert tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 14)
