"""The flags that say how a model that writes chooses its words."""

import functools

from absl import app, flags

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
TEMPERATURE = flags.DEFINE_float(
    "temperature", 1.0, "Below 1, --sampler=random draws likely words more often.", lower_bound=0
)
TOP_P = flags.DEFINE_float(
    "top_p",
    None,
    "--sampler=random draws from the fewest words that have this probability together.",
    lower_bound=0,
    upper_bound=1,
)
MAX_LENGTH = flags.DEFINE_integer(
    "max_length",
    None,
    "Most tokens of a text that is written. Default: those of the longest that can be learned.",
    lower_bound=1,
)
_OF_SAMPLERS = {"greedy": (), "beam": (NUM_BEAMS,), "random": (TEMPERATURE, TOP_P)}
NAMES = tuple(flag.name for flag in (SAMPLER, *sum(_OF_SAMPLERS.values(), start=()), MAX_LENGTH))


def options(config=None):
    """`sampler` and `max_length`, as `model.generate` takes them.

    Args:
        config: `config.json` of a run, whose flags hold where the command line has none; or `None`
            for the defaults.

    Raises:
        app.UsageError: the command line has a flag of another sampler.
    """
    samplers, known = tatl_keras.models.samplers, config["flags"] if config else {}

    def value(flag):
        return flag.value if flag.present else known.get(flag.name, flag.value)

    name = value(SAMPLER)
    for other, theirs in _OF_SAMPLERS.items():
        for flag in theirs:
            if other != name and flag.present:
                raise app.UsageError(
                    f"--{flag.name} goes with --sampler={other}. Received: "
                    f"--{flag.name}={flag.value} for the sampler {name}"
                )
    made = {flag.name: value(flag) for flag in _OF_SAMPLERS[name]}
    make = {
        "greedy": samplers.GreedySampler,
        "beam": samplers.BeamSampler,
        "random": functools.partial(samplers.RandomSampler, seed=0),
    }
    return {"sampler": make[name](**made), "max_length": value(MAX_LENGTH)}
