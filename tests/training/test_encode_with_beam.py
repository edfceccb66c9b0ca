"""The Beam pipeline against the local way: same keys, same features, whatever the runner does."""

import hashlib
import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import safetensors.numpy

from tatl_keras import data, training, zoo
from tatl_keras.data import synthetic
from tatl_keras.features import filling

beam = pytest.importorskip("apache_beam", reason="needs apache-beam, the extra `beam`")

from tatl_keras import _beam_files  # noqa: E402
from tatl_keras.training import beam_pipeline  # noqa: E402
from tests.rounding import assert_same_features  # noqa: E402
from tests.training.bucket import Bucket  # noqa: E402

THREADS = ["--direct_num_workers=2", "--direct_running_mode=multi_threading"]
PROCESSES = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
QUIET = {"verify": None, "on_bad": "skip", "verbose": False}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """20 pictures, of which two stand there twice, and three rows without text."""
    folder = tmp_path_factory.mktemp("data")
    path = Path(synthetic.write_manifest(str(folder), 2, 20, missing_text=0.15))
    lines = path.read_text().splitlines()
    copies = [line.rpartition(",")[0] + f",copy{i}" for i, line in enumerate(lines[1:3])]
    path.write_text("\n".join([*lines, *copies]) + "\n")
    return path


@pytest.fixture
def examples(manifest):
    return data.load(str(manifest), "all", **QUIET)


@pytest.fixture
def pictures():
    """A model of the pooled vectors of pictures."""
    return zoo.compose(2, image="test_vit", fusion="image_only", seed=1)


@pytest.fixture
def both(examples):
    """A model of tokens of pictures and texts, frozen."""
    model = zoo.compose(2, image="test_vit", text="test_text", fusion="cross", seed=1)
    model.preprocessor.adapt(examples.map(lambda x, y: x["text"]), 60)
    return model


@pytest.fixture
def no_encoding(monkeypatch):
    """Lets nothing be encoded any more in this process."""

    def refuse(*args):
        raise AssertionError("something was encoded again")

    return lambda: monkeypatch.setattr(filling, "encoded_batches", refuse)


def files(folder):
    """Names of all files of features below a folder, with what is in them."""
    found = sorted(Path(folder).glob("*/*.safetensors"))
    return {path.name: safetensors.numpy.load_file(path) for path in found}


def keys_of(contents):
    """Keys of examples, from their definition."""
    return {hashlib.sha256(b"bytes|" + value).digest() for value in contents}


def failures(folder):
    lines = (Path(folder) / "failed.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["id"]: (row["image"], row["reason"]) for row in map(json.loads, lines)}


def test_two_workers_make_what_the_local_way_makes(both, examples, manifest, no_encoding):
    done = training.encode_with_beam(
        examples, both, "cache", shard_rows=6, batch_size=8, pipeline_options=THREADS
    )
    images = {path.read_bytes() for path in (manifest.parent / "images").iterdir()}
    texts = {text for text in examples.rows["text"] if text}
    assert (done["rows"], done["failed"]) == (22, 0)
    assert done["image"] == {"encoded": len(images), "found": 0}
    assert done["text"] == {"encoded": len(texts), "found": 0}
    assert len(images) == 20 and 1 < len(texts) < 19
    written = files("cache")
    keys = [key.tobytes() for columns in written.values() for key in columns["keys"]]
    assert len(keys) == len(set(keys))  # nothing twice
    assert set(keys) == keys_of(images) | keys_of(text.encode() for text in texts)
    assert len(written) > 4
    x, y, _ = training.encode(examples, both, batch_size=8, verbose=0).arrays()
    no_encoding()
    found, labels, _ = training.encode(examples, both, "cache", verbose=0).arrays()
    for name, values in x.items():  # rows stand in other places of their batches
        assert_same_features(found[name], values, name)
    np.testing.assert_array_equal(labels, y)
    assert np.ptp(found["image_tokens"], axis=0).min() > 0
    assert not list(Path("cache").glob(".beam*"))


def test_workers_and_runs_do_not_show_in_the_files(pictures, examples, monkeypatch):
    """One worker, and two that are given bytes in another order, write the same files."""
    built = []

    def unpack(contents, original=beam_pipeline.unpack):
        built.append(original(contents))
        return built[-1]

    monkeypatch.setattr(beam_pipeline, "unpack", unpack)
    one = training.encode_with_beam(examples, pictures, "one", shard_rows=5)
    assert len(built) == 1
    rows = [
        {"id": i, "image": Path(row.image).read_bytes() if i % 2 else row.image, "text": row.text}
        for i, row in enumerate(examples.rows.itertuples())
    ]
    source = beam.Create(rows[::-1]) | beam.Reshuffle()
    two = training.encode_with_beam(source, pictures, "two", shard_rows=5, pipeline_options=THREADS)
    assert len(built) == 2  # one encoder in a process, for all its threads and files
    assert one["image"] == two["image"] == {"encoded": 20, "found": 0}
    assert files("one").keys() == files("two").keys() and len(files("one")) == 4


@pytest.mark.large
def test_two_processes(pictures, examples, no_encoding):
    done = training.encode_with_beam(
        examples, pictures, "cache", shard_rows=5, pipeline_options=PROCESSES
    )
    assert done["image"] == {"encoded": 20, "found": 0}
    x, _, _ = training.encode(examples, pictures, verbose=0).arrays()
    no_encoding()
    found, _, _ = training.encode(examples, pictures, "cache", verbose=0).arrays()
    for name, values in x.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_training_finds_it_ready(pictures, examples, no_encoding):
    cache = training.FeatureCache("cache", dtype="bfloat16")
    training.encode_with_beam(examples, pictures, cache)
    no_encoding()
    again = training.encode_with_beam(examples, pictures, cache)
    assert again["image"] == {"encoded": 0, "found": 20}
    pictures.fit(examples, feature_cache=cache, epochs=1, verbose=0)
    pictures.predict(examples, feature_cache=cache, verbose=0)
    with pytest.raises(AssertionError, match="encoded again"):
        pictures.predict(examples, feature_cache="other", verbose=0)


@pytest.mark.parametrize(
    ("rows", "groups"), [(1, 1), (128, 1), (300, 3), (3000, 16), (16384, 16), (40000, 40)]
)
def test_few_rows_are_cut_into_pieces_for_several_workers(rows, groups):
    keys = [hashlib.sha256(bytes([i % 256, i // 256])).digest() for i in range(rows)]
    numbers = [beam_pipeline._numbered((key, "row"), rows, 1024)[0] for key in keys]
    sizes = np.bincount(numbers, minlength=groups)
    assert len(sizes) == groups
    assert abs(sizes - rows / groups).max() <= 5 * (rows / groups) ** 0.5


def test_only_what_is_missing_or_damaged_is_encoded(pictures, examples, manifest):
    some = data.load(str(manifest), {"some": examples.ids[:9]}, **QUIET)[0]
    training.encode(some, pictures, "cache", verbose=0)
    done = training.encode_with_beam(examples, pictures, "cache", shard_rows=4)
    assert done["image"] == {"encoded": 11, "found": 9}
    first, *_, last = sorted(Path("cache").glob("*/*.safetensors"))
    lost = len(safetensors.numpy.load_file(last)["keys"])
    contents = bytearray(last.read_bytes())
    contents[-1] ^= 1
    last.write_bytes(contents)
    done = training.encode_with_beam(examples, pictures, "cache")
    assert done["image"] == {"encoded": lost, "found": 20 - lost}


def test_failed_rows_are_listed_with_reasons(pictures, examples, manifest, no_encoding):
    whole = Path(examples.rows["image"].iloc[0])
    Path("page.jpg").write_text("<html>")
    Path("cut.png").write_bytes(whole.read_bytes()[:60])
    Path("empty.png").write_bytes(b"")
    rows = [
        {"id": "good", "image": str(whole), "text": ""},
        {"id": "gone", "image": "gone.png", "text": "a text"},
        {"id": "page", "image": "page.jpg"},
        {"id": "cut", "image": "cut.png"},
        {"id": "empty", "image": "empty.png"},
        {"id": "web", "image": "https://example.com/a.png"},
        {"id": "elsewhere", "image": "unknown://example.com/a.png"},
        {"id": "bytes", "image": b"GIF89a"},
        {"id": "nothing", "image": "", "text": ""},
        {"image": "gone too.png"},
    ]
    done = training.encode_with_beam(rows, pictures, "cache", pipeline_options=THREADS)
    assert (done["rows"], done["failed"]) == (10, 9)
    assert done["image"] == {"encoded": 1, "found": 0}
    unreadable = "unreadable picture: "
    reasons = {
        "gone": ("gone.png", f"{unreadable}no such file: gone.png"),
        "page": ("page.jpg", f"{unreadable}not a JPEG, PNG, GIF, BMP or WebP picture"),
        "cut": ("cut.png", f"{unreadable}cannot be decoded: "),
        "empty": ("empty.png", f"{unreadable}the file is empty"),
        "web": (rows[5]["image"], f"{unreadable}web addresses are not read: "),
        "elsewhere": (rows[6]["image"], f"{unreadable}{rows[6]['image']} cannot be read: "),
        "bytes": (None, f"{unreadable}cannot be decoded: "),
        "nothing": ("", "neither picture nor text"),
        "gone too.png": ("gone too.png", f"{unreadable}no such file: gone too.png"),
    }
    listed = failures("cache")
    assert listed.keys() == reasons.keys()
    for name, (image, reason) in reasons.items():
        assert listed[name][0] == image and listed[name][1].startswith(reason)
    no_encoding()
    done = training.encode_with_beam(rows[:1], pictures, "cache")
    assert done["failed"] == 0 and done["image"]["found"] == 1
    assert not Path("cache/failed.jsonl").exists()


def test_a_picture_that_changes_meanwhile_is_not_kept_under_its_old_key(
    pictures, examples, monkeypatch
):
    changed = examples.rows["image"].iloc[4]
    reads = []

    def picture(path, original=_beam_files.read_picture):
        reads.append(path)
        return original(path) + (b" " if reads.count(changed) == 2 and path == changed else b"")

    monkeypatch.setattr(_beam_files, "read_picture", picture)
    done = training.encode_with_beam(examples, pictures, "cache")
    assert done["failed"] == 1 and done["image"]["encoded"] == 19
    assert "the file changed while it was being encoded" in failures("cache")[examples.ids[4]][1]
    kept = {key.tobytes() for columns in files("cache").values() for key in columns["keys"]}
    assert not keys_of([Path(changed).read_bytes()]) & kept


def test_augmented_views(pictures, examples, no_encoding):
    augmentation = keras.layers.RandomTranslation(0.3, 0.3, seed=3)
    options = {"augmentation": augmentation, "views": 2, "dtype": "float16"}
    local = training.encode(
        examples, pictures, training.FeatureCache(**options), augmented=True, verbose=0
    )
    cache = training.FeatureCache("cache", **options)
    rows = [*examples.rows.to_dict("records"), {"id": "gone", "image": "gone.png"}]
    done = training.encode_with_beam(rows, pictures, cache, augmented=True)
    assert done["image"] == {"encoded": 40, "found": 0} and done["failed"] == 1
    no_encoding()
    found = training.encode(examples, pictures, cache, augmented=True, verbose=0)
    rows = np.arange(len(found))
    views = [found.read(rows, np.full_like(rows, view))["image_pooled"] for view in (0, 1)]
    for view, values in enumerate(views):
        same = local.read(rows, np.full_like(rows, view))["image_pooled"]
        np.testing.assert_array_equal(values, same)
    assert (views[0] != views[1]).any(axis=1).all()


def test_files_go_to_an_address_and_come_back(pictures, examples, no_encoding):
    Bucket.objects.clear()
    rows = examples.rows.to_dict("records")
    for row in rows:
        row["image"] = "bucket://in/" + row["id"]
    for row, path in zip(rows, examples.rows["image"], strict=True):
        Bucket.objects[row["image"]] = Path(path).read_bytes()
    rows.append({"id": "gone", "image": "bucket://in/gone"})
    done = training.encode_with_beam(rows, pictures, "bucket://out/cache", shard_rows=7)
    assert done["image"] == {"encoded": 20, "found": 0} and done["failed"] == 1
    made = [path for path in Bucket.objects if path.startswith("bucket://out/")]
    assert all(re.match(r"bucket://out/cache/(failed.jsonl|\w{64}/[\w.]+)$", p) for p in made)
    x, _, _ = training.encode(examples, pictures, verbose=0).arrays()
    no_encoding()
    again = training.encode_with_beam(rows, pictures, "bucket://out/cache")
    assert again["image"] == {"encoded": 0, "found": 20}
    for path in made:
        target = Path("copied") / path.removeprefix("bucket://out/cache/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(Bucket.objects[path])
    found, _, _ = training.encode(examples, pictures, "copied", verbose=0).arrays()
    for name, values in x.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_workers_with_another_encoder_are_refused(pictures, examples, monkeypatch):
    def unpack(contents, original=beam_pipeline.unpack):
        encoder, *rest = original(contents)
        weight = encoder.weights[3]
        changed = keras.ops.convert_to_numpy(weight).copy()
        changed.flat[0] = np.nextafter(changed.flat[0], 1)
        weight.assign(changed)
        return encoder, *rest

    monkeypatch.setattr(beam_pipeline, "unpack", unpack)
    with pytest.raises(RuntimeError, match="Workers must have the encoder, .* Received: a worker"):
        training.encode_with_beam(examples, pictures, "cache", pipeline_options=THREADS)
    assert not files("cache") and not list(Path("cache").glob(".beam*"))
