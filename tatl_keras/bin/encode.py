"""tatl-encode: runs the frozen encoders of a model over a whole manifest, once.

    tatl-encode --model=vit_b16_bert_cross --data=pets.csv --feature_cache=features
    tatl-encode --model=vit_b16_bert_cross --data=pets.csv --feature_cache=features \\
        --runner=DirectRunner -- --direct_num_workers=4 --direct_running_mode=multi_processing
    tatl-encode --model=vit_b16_bert_cross --data=gs://pets/all.jsonl \\
        --feature_cache=gs://pets/features --runner=DataflowRunner -- --project=… --region=…

What is in the cache already is not encoded again. tatl-train finds it with the same flags. With
--views the augmented views are encoded, for the examples that are learned from.

Without --runner this process encodes. With it an Apache Beam pipeline does (pip install
tatl_keras[beam]); flags of Beam stand behind --. Pictures are then looked at by its workers, and
rows that fail are listed with reasons in failed.jsonl in the cache. Such rows make the exit status
1, unless --on_bad=skip.
"""

import contextlib
import os
import sys
import tempfile
import time

from absl import app, flags

import tatl_keras
from tatl_keras.bin import cache_flags, common, data_flags, records, train

flags.declare_key_flag("model")
flags.adopt_module_key_flags(data_flags)
flags.adopt_module_key_flags(cache_flags)
_MODEL_FLAGS = ("image_preset", "text_preset", "image_size", "sequence_length", "model_args")
for _name in ("split", "batch_size", *_MODEL_FLAGS, "mixed_precision", "seed"):
    flags.declare_key_flag(_name)
for _name in ("runner", "register", "smoke", "debug"):
    flags.declare_key_flag(_name)

HELP = {
    "model": "Model of the zoo whose frozen encoders run; `tatl-zoo list` shows them.",
    "split": "Which examples of --data. Default: all.",
    "batch_size": "Examples an encoder sees at once; without this flag 256 on accelerators.",
    "feature_cache": "Folder of features; with --runner also an address such as gs://….",
    "seed": "Seed of augmented views, as in tatl-train.",
}
_TRAIN_FLAGS = (
    *("model", *data_flags.NAMES, *_MODEL_FLAGS, "seed", "feature_cache", "feature_dtype"),
    *("compute_dtype", "jit_compile", "views", "mixed_precision", "register"),
)
_SMOKE_EXAMPLES = 16


def run():
    common.run(main, sys.modules[__name__])


def main(arguments):
    """Fills the cache and prints what there was to do; the status is 1 if rows failed."""
    _check_flags(arguments)
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        if common.SMOKE.value:
            model, directory, load = _smoke(stack)
        else:
            model, directory, load = train.build(2), cache_flags.FEATURE_CACHE.value, _load
        cache = cache_flags.load(model, flags.FLAGS.seed)
        if common.RUNNER.value is None:
            done = _encode_here(model, load, cache, directory)
        else:
            done = _encode_with_beam(model, load, cache, directory, arguments)
        print(_report(done, time.monotonic() - start, directory))
    if not common.SMOKE.value:
        print(_next_steps(directory))
    if done["failed"] and flags.FLAGS.on_bad == "error":
        print(f"{done['failed']} of {done['rows']} examples failed", file=sys.stderr)
        return 1
    return 0


def _check_flags(arguments):
    """Raises an error for flags that do not go together, before anything is read."""
    if not common.SMOKE.value:
        common.required(common.MODEL, data_flags.DATA)
    where = cache_flags.FEATURE_CACHE.value
    if where in ("auto", "memory", "none") and not common.SMOKE.value:
        raise app.UsageError(f"--feature_cache must be a folder. Received: {where}")
    if "://" in where and common.RUNNER.value is None:
        raise app.UsageError(
            f"--feature_cache must be a folder without --runner. Received: {where}"
        )
    common.check_beam_flags(arguments)


def _load(**overrides):
    """The examples. Labels are needed only where splits are made of them."""
    split = common.SPLIT.value or "all"
    if split == "all" and not flags.FLAGS.text_from_class:
        overrides["label"] = False
    return data_flags.load(split, **overrides)


def _encode_here(model, load, cache, directory):
    cache.directory = os.path.abspath(directory)
    examples = load()
    features = tatl_keras.training.encode(
        examples, model, cache, batch_size=_batch_size(), augmented=_augmented()
    )
    skipped = len(examples.summary.get("skipped", []))
    return {"rows": len(features) + skipped, "failed": skipped} | features.counts


def _encode_with_beam(model, load, cache, directory, arguments):
    examples = load(verify=None)
    done = tatl_keras.training.encode_with_beam(
        examples, model, cache, directory=directory, batch_size=_batch_size(),
        augmented=_augmented(), pipeline_options=[f"--runner={common.RUNNER.value}", *arguments],
    )  # fmt: skip
    skipped = len(examples.summary["skipped"])
    return done | {"rows": done["rows"] + skipped, "failed": done["failed"] + skipped}


def _batch_size():
    given = flags.FLAGS[common.BATCH_SIZE.name]
    return given.value if given.present else None


def _augmented():
    return cache_flags.VIEWS.value is not None


def _smoke(stack):
    """A tiny model, a folder for its features, and how to load made-up examples."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    manifest = tatl_keras.data.synthetic.write_manifest(folder, 2, _SMOKE_EXAMPLES)

    def load(**overrides):
        return tatl_keras.data.load(manifest, "all", label=False, verbose=False, **overrides)

    model = tatl_keras.zoo.build(train.SMOKE_MODEL, 2)
    texts = load().map(lambda x: x["text"])
    model.preprocessor.adapt(texts, model.text_encoder.vocabulary_size)
    print(f"smoke: {train.SMOKE_MODEL} on {_SMOKE_EXAMPLES} made-up examples")
    return model, os.path.join(folder, "features"), load


def _report(done, seconds, directory):
    counted = [modality for modality in ("image", "text") if modality in done]
    rows = [["", *(f"{modality}s" for modality in counted)]]
    for kind in ("encoded", "found"):
        rows.append([kind, *(f"{done[modality][kind]:,}" for modality in counted)])
    size = "" if "://" in directory else f"; {_size(directory) / (1 << 20):,.1f} MiB in the cache"
    failed = f"{done['failed']:,} failed"
    if done["failed"] and common.RUNNER.value is not None:
        failed += f" (see {os.path.join(directory, 'failed.jsonl')})"
    rate = f"{done['rows'] / seconds:,.1f} examples/s with loading"
    return f"{records.table(rows)}\n{done['rows']:,} examples, {failed}, {rate}{size}"


def _size(directory):
    """Bytes of all files in a folder."""
    paths = [os.path.join(at, name) for at, _, names in os.walk(directory) for name in names]
    return sum(os.path.getsize(path) for path in paths)


def _next_steps(directory):
    given = [flags.FLAGS[name] for name in _TRAIN_FLAGS if flags.FLAGS[name].present]
    words = " ".join(flag.serialize() for flag in given)
    lines = ["Next:", f"  tatl-train {words} --workdir=runs/{common.MODEL.value}"]
    if "://" in directory:
        lines.insert(1, f"  copy {directory} into a folder, and name that as --feature_cache")
    return "\n".join(lines)


if __name__ == "__main__":
    run()
