"""The flags that say how a model that writes chooses its words."""

from absl import flags

import tatl_keras

SAMPLER = flags.DEFINE_enum(
    "sampler",
    "beam",
    ["greedy", "beam", "random"],
    "How models that write choose words: the likeliest each time, the likeliest whole text, or "
    "drawn at random, the same each time.",
)
NUM_BEAMS = flags.DEFINE_integer(
    "num_beams", 4, "Texts that --sampler=beam keeps while they grow.", lower_bound=1
)
MAX_LENGTH = flags.DEFINE_integer(
    "max_length",
    None,
    "Most tokens of a text that is written. Default: those of the longest that can be learned.",
    lower_bound=1,
)
NAMES = (SAMPLER.name, NUM_BEAMS.name, MAX_LENGTH.name)


def options():
    """`sampler` and `max_length`, as `model.generate` takes them."""
    samplers = tatl_keras.models.samplers
    make = {
        "greedy": samplers.GreedySampler,
        "beam": lambda: samplers.BeamSampler(NUM_BEAMS.value),
        "random": lambda: samplers.RandomSampler(seed=0),
    }
    return {"sampler": make[SAMPLER.value](), "max_length": MAX_LENGTH.value}
