"""Examples per second of the host's part: files read, decoded, resized; texts tokenised.

    python benchmarks/input_pipeline.py

The same files and captions go through

    ours     `preprocessor.dataset(...)` of efficientnet_lite0_minilm_concat, two threads
    torch    `torch.utils.data.DataLoader` with two processes that stay; Pillow crops and resizes,
             NumPy normalises; Hugging Face's tokenizers (Rust) with the same vocabulary

Pictures are made up, 400 x 500 pixels with the spectrum of photographs: JPEG of quality 90 (about
120 kB), opaque PNG and PNG with transparent parts. Both sides cut out the largest square in the
middle and resize it to 224 x 224 by the same filter; Pillow's averages over what it shrinks,
Keras's takes the nearest pixels unless `antialias` says otherwise, so that case is measured too.

The sides take turns, on files that the system keeps in memory; rates are medians over rounds, and
the ratio is taken within each round. A turn is an epoch with its start, of which `*_start_ms` is
the time to the first batch. `pixels_mean` and `pixels_largest` are differences between the
sides' pictures, in steps of 0 to 255; `equal_tokens` and `equal_labels` are shares of the rows.

Needs PyTorch, pip install torch; tokenizers comes with KerasHub. Writes
benchmarks/results/input_pipeline.csv.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app, flags
from conditions import write_results

_ROUNDS = flags.DEFINE_integer("rounds", 9, "How often the sides take turns.")
_FILES = flags.DEFINE_integer("files", 256, "Pictures made.")
_EXAMPLES = flags.DEFINE_integer("examples", 2048, "Rows of an epoch; a turn is an epoch.")
_WORKERS = flags.DEFINE_integer("workers", 2, "Threads of ours, processes of the peer.")
_TASK = flags.DEFINE_string("task", None, "One case; used by this script itself.")

BATCH, SIZE, SCALE, OFFSET = 32, 224, 0.0078125, -0.9921875
HEIGHT, WIDTH = 400, 500
CLASSES, WORDS = 10, 12
# Pictures, filter, whether ours averages over what it shrinks as Pillow does.
CASES = [
    ("jpeg", "bilinear", False),
    ("jpeg", "bicubic", False),
    ("png", "bilinear", False),
    ("png", "bicubic", False),
    ("transparent_png", "bicubic", False),
    ("jpeg", "bilinear", True),
]


def main(argv):
    del argv
    if _TASK.value:
        print(json.dumps(compare(*json.loads(_TASK.value))))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in dict.fromkeys(kind for kind, *_ in CASES):
            write_examples(folder, kind)
        for case in CASES:
            rows.append(dict(zip(("pictures", "filter", "antialias"), case, strict=True)))
            rows[-1] |= {"workers": _WORKERS.value} | call([folder, *case])
            print(rows[-1], flush=True)
    write_results("input_pipeline.csv", rows)


def call(task):
    """A case in a process of its own, whose workers start before TensorFlow does."""
    own = (_ROUNDS, _FILES, _EXAMPLES, _WORKERS)
    command = [sys.executable, __file__, f"--task={json.dumps(task)}"]
    command += [f"--{flag.name}={flag.value}" for flag in own]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def write_examples(folder, kind):
    """Pictures, and a manifest with captions of words that the tokenizer knows."""
    from PIL import Image

    rng = np.random.default_rng(0)
    names = [
        f"{kind}/{index}.{'jpg' if kind == 'jpeg' else 'png'}" for index in range(_FILES.value)
    ]
    os.makedirs(os.path.join(folder, kind))
    for name in names:
        picture = Image.fromarray(photograph(rng))
        if kind == "transparent_png":
            picture.putalpha(Image.linear_gradient("L").resize(picture.size))
        picture.save(os.path.join(folder, name), quality=90)
    words = [word for word in vocabulary() if word.isalpha() and len(word) > 2]
    rows = ["id,image,text,label"]
    for index in range(_EXAMPLES.value):
        caption = " ".join(rng.choice(words, WORDS))
        rows.append(f"{index},{names[index % len(names)]},{caption},class {index % CLASSES}")
    with open(os.path.join(folder, f"{kind}.csv"), "w", encoding="utf-8") as file:
        file.write("\n".join(rows) + "\n")


def photograph(rng):
    """Noise whose amplitude falls as 1 / frequency, its channels much alike."""
    down, across = np.fft.fftfreq(HEIGHT)[:, None], np.fft.fftfreq(WIDTH)
    falling = 1 / np.maximum(np.hypot(down, across), 1 / WIDTH)
    shared, *own = rng.normal(size=(4, HEIGHT, WIDTH))
    noise = np.stack([shared + 0.3 * channel for channel in own])
    pixels = np.fft.ifft2(np.fft.fft2(noise) * falling).real
    return (128 + 50 * pixels / pixels.std()).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)


def vocabulary():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    path = os.path.join(root, "saved_models/encoders/minilm_l6/assets/tokenizer/vocabulary.txt")
    with open(path, encoding="utf-8") as file:
        return file.read().split("\n")


def compare(folder, kind, resampling, antialias):
    """Rates of both sides, and how much alike what they give is."""
    length = 64
    loader = torch_loader(folder, kind, resampling, length)
    theirs = first_examples(loader)  # starts the workers; TensorFlow comes after
    dataset, found_length = our_dataset(folder, kind, resampling, antialias)
    if found_length != length:
        raise ValueError(f"the model takes {found_length} tokens, the peer {length}")
    alike = likeness(first_examples(dataset), theirs)
    rates, starts = {"ours": [], "torch": []}, {"ours": [], "torch": []}
    for index in range(_ROUNDS.value):
        turns = [("ours", dataset), ("torch", loader)]
        for name, batches in turns[:: 1 if index % 2 else -1]:
            measured = rate(batches)
            rates[name].append(measured[0])
            starts[name].append(measured[1])
    ratios = [ours / theirs for ours, theirs in zip(*rates.values(), strict=True)]
    found = {f"{name}_per_second": _figure(values) for name, values in rates.items()}
    found |= {"ratio": _figure(ratios), "lowest": f"{min(ratios):.3g}"}
    found |= {"highest": f"{max(ratios):.3g}"}
    return found | {f"{name}_start_ms": _figure(values) for name, values in starts.items()} | alike


def rate(batches):
    """Examples per second of an epoch, and milliseconds to its first batch."""
    count, first, start = 0, None, time.perf_counter()
    for _, labels in batches:
        first = first or time.perf_counter() - start
        count += len(labels)
    return count / (time.perf_counter() - start), first * 1e3


def first_examples(batches):
    """Pictures (N, H, W, 3), ids of tokens and labels of as many examples as there are files."""
    images, ids, labels = [], [], []
    for x, y in batches:
        pixels = np.asarray(x["images"])
        images.append(pixels if pixels.shape[-1] == 3 else pixels.transpose(0, 2, 3, 1))
        ids.append(x["token_ids"])
        labels.append(y)
        if len(images) * BATCH >= _FILES.value:
            break
    return np.concatenate(images), np.concatenate(ids), np.concatenate(labels)


def likeness(ours, theirs):
    steps = np.abs(ours[0] - theirs[0]) / SCALE
    return {
        "pixels_mean": f"{steps.mean():.3g}",
        "pixels_largest": f"{steps.max():.3g}",
        "equal_tokens": float((ours[1] == theirs[1]).all(-1).mean()),
        "equal_labels": float((ours[2] == theirs[2]).mean()),
    }


def our_dataset(folder, kind, resampling, antialias):
    import tensorflow as tf

    from tatl_keras import data, zoo

    preprocessor = zoo.build("efficientnet_lite0_minilm_concat", CLASSES).preprocessor
    converter = preprocessor.image_converter
    converter.resizing.interpolation, converter.resizing.antialias = resampling, antialias
    if (converter.scale, converter.offset) != (SCALE, OFFSET):
        raise ValueError("the converter's scale is not the peer's")
    options = tf.data.Options()
    options.threading.private_threadpool_size = _WORKERS.value
    options.threading.max_intra_op_parallelism = 1
    examples = data.load(os.path.join(folder, f"{kind}.csv"), "all", verbose=False)
    batches = preprocessor.dataset(examples, BATCH).with_options(options)
    return batches, preprocessor.sequence_length


def torch_loader(folder, kind, resampling, length):
    import csv

    import torch
    from PIL import Image

    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are what is parallel
    words = {word: index for index, word in enumerate(vocabulary()) if word}
    from tokenizers import BertWordPieceTokenizer

    tokenizer = BertWordPieceTokenizer(words, lowercase=True, strip_accents=True)
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length)
    method = Image.Resampling[resampling.upper()]
    with open(os.path.join(folder, f"{kind}.csv"), encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = sorted({row["label"] for row in rows})

    class Examples(torch.utils.data.Dataset):
        def __len__(self):
            return len(rows)

        def __getitem__(self, index):
            row = rows[index]
            with Image.open(os.path.join(folder, row["image"])) as picture:
                if picture.mode == "RGBA":
                    white = Image.new("RGBA", picture.size, "white")
                    picture = Image.alpha_composite(white, picture)
                picture = picture.convert("RGB")
            side = min(picture.size)
            left, top = ((extent - side) // 2 for extent in picture.size)
            box = (left, top, left + side, top + side)
            picture = picture.resize((SIZE, SIZE), method, box)
            pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
            return pixels, row["text"], names.index(row["label"])

    def collate(examples):
        pixels, texts, labels = zip(*examples, strict=True)
        encoded = tokenizer.encode_batch(texts)
        images = torch.stack(pixels).float().mul_(SCALE).add_(OFFSET)
        ids = torch.tensor([one.ids for one in encoded])
        mask = torch.tensor([one.attention_mask for one in encoded])
        return {"images": images, "token_ids": ids, "padding_mask": mask}, torch.tensor(labels)

    return torch.utils.data.DataLoader(
        Examples(), BATCH, num_workers=_WORKERS.value, collate_fn=collate, prefetch_factor=4,
        persistent_workers=True,
    )  # fmt: skip


def _figure(values):
    return f"{statistics.median(values):.4g}"


if __name__ == "__main__":
    app.run(main)
