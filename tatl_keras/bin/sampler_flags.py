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


def options(config=None):
    """`sampler` and `max_length`, as `model.generate` takes them.

    Args:
        config: `config.json` of a run, whose flags hold where the command line has none; or `None`
            for the defaults.
    """
    samplers, known = tatl_keras.models.samplers, config["flags"] if config else {}
    sampler, num_beams, max_length = (
        flag.value if flag.present else known.get(flag.name, flag.value)
        for flag in (SAMPLER, NUM_BEAMS, MAX_LENGTH)
    )
    make = {
        "greedy": samplers.GreedySampler,
        "beam": lambda: samplers.BeamSampler(num_beams),
        "random": lambda: samplers.RandomSampler(seed=0),
    }
    return {"sampler": make[sampler](), "max_length": max_length}
