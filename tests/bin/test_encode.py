"""`tatl-encode`: the whole manifest goes through the encoders once, here or in a pipeline."""

import json
import re
from pathlib import Path

import pytest

from tatl_keras import data, training, zoo
from tatl_keras.features import filling
from tests.bin.conftest import run_program, succeed

MODEL = "--model=test_efficientnet_image_only"
BEAM = ["--runner=DirectRunner", "--", "--direct_num_workers=2"]
BEAM += ["--direct_running_mode=multi_threading"]


def shards(folder):
    return {path.name for path in Path(folder).glob("*/*.safetensors")}


def counts(out):
    """The table that is printed: kind → modality → number."""
    head, encoded, found = [line.split() for line in out.splitlines()[:3]]
    assert (encoded[0], found[0]) == ("encoded", "found")
    return {row[0]: dict(zip(head, map(int, row[1:]), strict=True)) for row in (encoded, found)}


@pytest.fixture
def no_encoding(monkeypatch):
    def refuse(*args):
        raise AssertionError("something was encoded again")

    return lambda: monkeypatch.setattr(filling, "encoded_batches", refuse)


def test_what_is_encoded_here_is_found_by_training(manifest, no_encoding):
    words = [MODEL, f"--data={manifest}", "--feature_cache=features", "--feature_dtype=float16"]
    outcome = succeed("encode", *words)
    assert counts(outcome.out) == {"encoded": {"images": 60}, "found": {"images": 0}}
    size = sum(path.stat().st_size for path in Path("features").rglob("*") if path.is_file())
    line = outcome.out.splitlines()[3]
    assert re.fullmatch(r"60 examples, 0 failed, [\d,.]+ examples/s with loading; .*", line)
    assert line.endswith(f"; {size / 2**20:.1f} MiB in the cache")
    *_, next_step = outcome.out.splitlines()
    program, *flags = next_step.split()
    assert program == "tatl-train" and set(words) < set(flags)
    no_encoding()
    again = succeed("encode", *words)
    assert counts(again.out) == {"encoded": {"images": 0}, "found": {"images": 60}}
    succeed("train", *flags, "--epochs=1")


def test_a_pipeline_finds_what_was_encoded_here_and_does_the_rest(manifest):
    pytest.importorskip("apache_beam", reason="needs apache-beam, the extra `beam`")
    words = [MODEL, f"--data={manifest}", "--feature_cache=features"]
    first = succeed("encode", *words, "--split=train")
    there = len(data.load(str(manifest), "train", verbose=False))
    assert 0 < there < 60
    assert counts(first.out) == {"encoded": {"images": there}, "found": {"images": 0}}
    rest = succeed("encode", *words, *BEAM)
    assert counts(rest.out) == {"encoded": {"images": 60 - there}, "found": {"images": there}}


@pytest.mark.parametrize("beam", [[], BEAM], ids=["here", "pipeline"])
def test_rows_that_fail(manifest, beam):
    if beam:
        pytest.importorskip("apache_beam", reason="needs apache-beam, the extra `beam`")
    rows = manifest.read_text().replace("images/", f"{manifest.parent}/images/").splitlines()[:4]
    Path("page.png").write_text("<html>")
    Path("new.csv").write_text("\n".join([*rows, "gone.png,t,x,1", "page.png,t,x,2"]) + "\n")
    words = [MODEL, "--data=new.csv", "--feature_cache=features"]
    outcome = run_program("encode", *words, *beam)
    assert outcome.status == 1
    if beam:
        assert outcome.err.endswith("2 of 5 examples failed\n")
        assert "5 examples, 2 failed (see features/failed.jsonl), " in outcome.out
        listed = [json.loads(line) for line in open("features/failed.jsonl", encoding="utf-8")]
        assert [(row["id"], row["image"]) for row in listed] == [
            ("1", str(Path("gone.png").absolute())),
            ("2", str(Path("page.png").absolute())),
        ]
        assert "no such file" in listed[0]["reason"] and "not a JPEG" in listed[1]["reason"]
    else:
        assert "has 2 bad rows among 5" in outcome.err and not shards("features")
    outcome = succeed("encode", *words, "--on_bad=skip", *beam)
    found = {"encoded": {"images": 0 if beam else 3}, "found": {"images": 3 if beam else 0}}
    assert counts(outcome.out) == found and "5 examples, 2 failed" in outcome.out


def test_views_are_those_that_training_draws(manifest, no_encoding):
    words = [MODEL, f"--data={manifest}", "--feature_cache=features", "--views=2", "--seed=3"]
    outcome = succeed("encode", *words, "--split=test")
    examples = data.load(str(manifest), "test", verbose=False)
    assert counts(outcome.out)["encoded"] == {"images": 2 * len(examples)}
    model = zoo.build("test_efficientnet_image_only", 3, seed=3)
    augmentation = training.default_augmentation(3)
    cache = training.FeatureCache("features", augmentation=augmentation, views=2)
    no_encoding()
    model.fit(examples, feature_cache=cache, epochs=1, verbose=0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--model and --data must be given."),
        ([MODEL, "--data=a.csv"], "--feature_cache must be a folder. Received: auto"),
        (
            [MODEL, "--data=a.csv", "--feature_cache=gs://b/c"],
            "--feature_cache must be a folder without --runner. Received: gs://b/c",
        ),
        ([MODEL, "--data=a.csv", "--feature_cache=f", "a.png"], "Received: 'a.png'"),
        (
            [MODEL, "--data=a.csv", "--feature_cache=f", "--", "--region=x"],
            "those of Beam stand behind -- and come with --runner. Received: '--region=x'",
        ),
    ],
)
def test_wrong_command_lines(words, message):
    outcome = run_program("encode", *words)
    assert outcome.status == 2 and message in outcome.err


def test_smoke():
    outcome = succeed("encode", "--smoke")
    first, *lines = outcome.out.splitlines()
    assert first.startswith("smoke: test_") and "16 made-up examples" in first
    assert counts("\n".join(lines))["encoded"]["images"] == 16
    assert not list(Path(".").iterdir())
