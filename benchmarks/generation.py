"""Writing token by token: our cached decoder beside KerasHub's generation, and its cost by length.

    python benchmarks/generation.py

An encoder and a decoder of `layers` blocks each, random weights, float32, 32 source tokens; no text
ends before its length. Both sides read the memory of the same encoder, KerasHub's.

    generate   tokens/s of whole texts: `TransformerDecoder` under our samplers, and KerasHub's
               `BartSeq2SeqLM.generate`, both without XLA, which is the default of both on a CPU; at
               the lengths `xla` both also with it, greedily. KerasHub's beam search, of the same
               width, has no length penalty. What is more than `most` tokens is left out: it takes
               minutes. `ratio` is a method's time by ours, `cpu_ratio` the same of the processors'
               time, both within a round; other work on the machine blurs the first one more.
    step       milliseconds of the last step of texts: from the cache, and from a call with the
               whole text, as it would be without one
    memory     megabytes of writing at the peak above those before it, in a process of its own;
               `cache_megabytes` is what the keys and values take

Medians over rounds, in which the methods take turns, after one call that is not counted. Writes
benchmarks/results/generation.csv.
"""

import json
import statistics
import subprocess
import sys
import time

from absl import app, flags
from conditions import write_results

_ROUNDS = flags.DEFINE_integer("rounds", 3, "How often the methods take turns.")
_LENGTHS = flags.DEFINE_list("lengths", [32, 128, 512], "Tokens of a text.")
_BATCHES = flags.DEFINE_list("batches", [1, 16], "Texts at a time.")
_STEPS = flags.DEFINE_list("steps", [64, 128, 256, 512], "Lengths at which a step is measured.")
_XLA = flags.DEFINE_list("xla", [128], "Lengths at which greedy writing runs with XLA too.")
_MOST = flags.DEFINE_integer("most", 10_000, "Most tokens of all texts and beams together.")
_TASKS = flags.DEFINE_list("tasks", ["generate", "step", "memory"], "What to measure.")
_SAMPLERS = flags.DEFINE_list("samplers", ["greedy", "beam"], "Samplers of `generate`.")
_OUTPUT = flags.DEFINE_string("output", "generation.csv", "File in benchmarks/results.")
_MEMORY_OF = flags.DEFINE_integer("memory_of", None, "One length; used by this script itself.")

VOCABULARY, LAYERS, HEADS, DIM, INTERMEDIATE = 4000, 2, 4, 128, 512
SOURCE, LONGEST, BEAMS, START, END = 32, 513, 3, 1, 2
SIZES = f"{LAYERS} layers, {DIM} channels, {HEADS} heads, {INTERMEDIATE}, {VOCABULARY} tokens"
COLUMNS = (
    "task", "sampler", "batch", "length", "method", "tokens_per_second", "ratio", "cpu_ratio",
    "milliseconds", "cpu_milliseconds", "megabytes", "cache_megabytes", "sizes",
)  # fmt: skip
OURS, PEER = "tatl_keras", "keras_hub"


def main(argv):
    del argv
    if _MEMORY_OF.value:
        print(json.dumps(megabytes(_MEMORY_OF.value, int(_BATCHES.value[-1]))))
        return
    rows = []
    for task in _TASKS.value:
        for row in {"generate": generate, "step": step, "memory": memory}[task]():
            rows.append(dict.fromkeys(COLUMNS, "") | {"task": task, "sizes": SIZES} | row)
            print(row, flush=True)
            write_results(_OUTPUT.value, rows)  # at once: a run that is stopped keeps what it has


def generate():
    from tatl_keras.models import samplers

    peers = {False: peer(), True: peer(jit_compile=True)}
    decoder = our_decoder()
    for sampler in _SAMPLERS.value:
        ours = samplers.GreedySampler() if sampler == "greedy" else samplers.BeamSampler(BEAMS)
        for batch in map(int, _BATCHES.value):
            for length in map(int, _LENGTHS.value):
                if batch * length * ours.beams > _MOST.value:
                    continue
                methods = {}
                for xla in (False, True):
                    if xla and (sampler != "greedy" or length not in map(int, _XLA.value)):
                        continue
                    mine = writer(peers[xla], decoder, ours, batch, length, jit_compile=xla)
                    theirs = peer_writer(peers[xla], sampler, batch, length)
                    suffix = ", XLA" if xla else ""
                    methods |= {OURS + suffix: mine, PEER + suffix: theirs}
                found = take_turns(methods)
                for name, times in found.items():
                    row = {"sampler": sampler, "batch": batch, "length": length, "method": name}
                    yield row | compared(times, found[OURS], batch, length)


def compared(times, ours, batch, length):
    """Medians of the times of one method, for each token, and of their ratios to ours."""
    seconds, cpu = (statistics.median(x[key] for x in times) for key in ("seconds", "cpu"))
    ratio, cpu_ratio = (
        statistics.median(x[key] / y[key] for x, y in zip(times, ours, strict=True))
        for key in ("seconds", "cpu")
    )
    return {
        "tokens_per_second": f"{batch * length / seconds:.4g}",
        "ratio": f"{ratio:.3f}",
        "cpu_ratio": f"{cpu_ratio:.3f}",
        "milliseconds": f"{1000 * seconds / length:.4g}",
        "cpu_milliseconds": f"{1000 * cpu / length:.4g}",
    }


def take_turns(methods, repeats=1):
    """Seconds, and seconds of processors, of a call of each method in each round."""
    found = {name: [] for name in methods}
    for call in methods.values():
        call()
    for _ in range(_ROUNDS.value):
        for name, call in methods.items():
            seconds, cpu = time.perf_counter(), time.process_time()
            for _ in range(repeats):
                call()
            seconds, cpu = time.perf_counter() - seconds, time.process_time() - cpu
            found[name].append({"seconds": seconds / repeats, "cpu": cpu / repeats})
    return found


def peer(**options):
    """KerasHub's model, whose `compile` has `options`."""
    import keras
    import keras_hub

    keras.utils.set_random_seed(1)
    backbone = keras_hub.models.BartBackbone(
        vocabulary_size=VOCABULARY, num_layers=LAYERS, num_heads=HEADS, hidden_dim=DIM,
        intermediate_dim=INTERMEDIATE, max_sequence_length=LONGEST,
    )  # fmt: skip
    model = keras_hub.models.BartSeq2SeqLM(backbone, preprocessor=None)
    model.compile_options = options
    return model


def our_decoder():
    import numpy as np

    from tatl_keras import models

    decoder = models.TransformerDecoder(
        VOCABULARY, hidden_dim=DIM, num_layers=LAYERS, num_heads=HEADS,
        intermediate_dim=INTERMEDIATE, max_length=LONGEST, seed=1,
    )  # fmt: skip
    decoder(np.zeros((1, 1), "int32"), np.zeros((1, 1, DIM), "float32"))
    return decoder


def sources(batch):
    import numpy as np

    token_ids = np.random.default_rng(1).integers(3, VOCABULARY, (batch, SOURCE))
    return token_ids.astype("int32"), np.ones((batch, SOURCE), "int32")


def peer_writer(model, sampler, batch, length):
    import keras_hub
    import numpy as np

    token_ids, mask = sources(batch)
    begun = np.arange(length + 1) < np.ones((batch, 1))
    inputs = {
        "encoder_token_ids": token_ids,
        "encoder_padding_mask": mask,
        "decoder_token_ids": (START * begun).astype("int32"),
        "decoder_padding_mask": begun.astype("int32"),
    }
    if sampler == "beam":
        sampler = keras_hub.samplers.BeamSampler(num_beams=BEAMS)

    def call():
        return model.generate(inputs, stop_token_ids=None)

    model.compile(sampler=sampler, **model.compile_options)
    return call


def writer(model, decoder, sampler, batch, length, jit_compile=False):
    """A call of our decoder on the memory that the encoder of KerasHub's model makes."""
    import tensorflow as tf

    never = tf.one_hot(END, VOCABULARY, float("-inf"), 0.0)

    @tf.function(jit_compile=jit_compile)
    def write(token_ids, mask):
        memory = model.call_encoder(token_ids, mask)
        fixed, moving = tf.nest.map_structure(
            lambda x: tf.repeat(x, sampler.beams, axis=0), decoder.start(memory, mask, length)
        )

        def step(token_ids, index, moving):
            logits, attention, moving = decoder.step(token_ids, index, fixed, moving)
            return tf.nn.log_softmax(logits + never), attention, moving

        return sampler(
            step, moving, tf.shape(memory)[0],
            start_id=START, end_id=END, pad_id=0, length=length,
        ).token_ids  # fmt: skip

    inputs = [tf.constant(x) for x in sources(batch)]
    write.get_concrete_function(*inputs)
    return lambda: write(*inputs).numpy()


def step():
    import numpy as np
    import tensorflow as tf

    batch, decoder = int(_BATCHES.value[-1]), our_decoder()
    memory = tf.random.stateless_normal((batch, SOURCE, DIM), (1, 2))
    for length in map(int, _STEPS.value):
        token_ids = tf.constant(np.full((batch, length), START, "int32"))
        state = decoder.start(memory, None, length)
        cached, whole = tf.function(decoder.step), tf.function(decoder)
        last = (token_ids[:, -1], tf.constant(length - 1), *state)
        methods = {
            "cached": lambda f=cached, x=last: f(*x)[0].numpy(),
            "uncached": lambda f=whole, x=token_ids: f(x, memory)[:, -1].numpy(),
        }
        for name, times in take_turns(methods, repeats=5).items():
            yield {
                "batch": batch,
                "length": length,
                "method": name,
                "milliseconds": f"{1000 * statistics.median(x['seconds'] for x in times):.4g}",
                "cpu_milliseconds": f"{1000 * statistics.median(x['cpu'] for x in times):.4g}",
            }


def memory():
    for length in map(int, _LENGTHS.value):
        command = [sys.executable, __file__, f"--memory_of={length}"]
        command.append(f"--batches={_BATCHES.value[-1]}")
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        yield {"length": length, "batch": int(_BATCHES.value[-1]), "method": OURS} | json.loads(
            output.splitlines()[-1]
        )


def megabytes(length, batch):
    """Of writing greedily, at the peak, in a process that has written a short text before."""
    from tatl_keras.models import samplers
    from tatl_keras.training.proofs.peak_memory import peak_memory

    model, decoder = peer(), our_decoder()
    short, long = (
        writer(model, decoder, samplers.GreedySampler(), batch, size) for size in (4, length)
    )
    short()
    cache = 2 * LAYERS * batch * length * DIM * 4
    return {
        "megabytes": f"{peak_memory(long) / 1e6:.4g}",
        "cache_megabytes": f"{cache / 1e6:.4g}",
    }


if __name__ == "__main__":
    app.run(main)
