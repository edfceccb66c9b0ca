"""The flags that say how a model is trained: precision, steps, stopping, averaging."""

import math

from absl import app, flags

import tatl_keras

LEARNING_RATE = flags.DEFINE_float(
    "learning_rate", None, "Largest step size. Default: the model's own recipe.", lower_bound=0.0
)
LEARNING_RATE_SCHEDULE = flags.DEFINE_enum(
    "learning_rate_schedule",
    "auto",
    ["auto", "constant", "cosine"],
    "How the step size changes: not at all, or along half a cosine down to zero. auto: cosine "
    "where a pretrained encoder learns, else constant.",
)
WARMUP_EPOCHS = flags.DEFINE_float(
    "warmup_epochs",
    None,
    "Over how many epochs the step size grows, such as 0.5. Default: a tenth of --epochs with "
    "cosine, else 0.",
    lower_bound=0.0,
)
CLIP_NORM = flags.DEFINE_float(
    "clip_norm",
    None,
    "Longest gradient of all weights together; 0 for any length. Default: 1 where a pretrained "
    "encoder learns, else 0.",
    lower_bound=0.0,
)
LABEL_SMOOTHING = flags.DEFINE_float(
    "label_smoothing",
    None,
    "Share of each target that is spread evenly over all tokens, for models that write. Default: "
    "0.1.",
    lower_bound=0.0,
    upper_bound=0.999,
)
MIXED_PRECISION = flags.DEFINE_enum(
    "mixed_precision",
    "float32",
    ["float32", "mixed_bfloat16", "mixed_float16"],
    "In which the model computes, as Keras names it; weights, softmax, logits and losses are "
    "float32 in each. bfloat16 suits TPUs and newer GPUs, float16 (with a scaled loss) older GPUs.",
)
DETERMINISTIC = flags.DEFINE_bool(
    "deterministic",
    False,
    "Let the same command give the same weights to the last bit, also on a GPU, where that is "
    "slower.",
)
EARLY_STOPPING = flags.DEFINE_integer(
    "early_stopping_patience",
    None,
    "Stop after so many epochs without a lower validation loss, and go back to the best one. Needs "
    "--validation_split.",
    lower_bound=1,
)
WEIGHT_AVERAGING = flags.DEFINE_enum(
    "weight_averaging",
    "none",
    ["none", "greedy_soup"],
    "greedy_soup: end with the mean of the weights of those of the five best epochs that together "
    "have the highest validation accuracy, never a lower one than the best of them alone. Needs "
    "--validation_split.",
)


def check(epochs, has_validation, solved):
    """Raises a usage error for flags that do not go together.

    Args:
        epochs: int.
        has_validation: bool, whether a validation split is asked for.
        solved: bool, whether the head is solved, in no steps.
    """
    if EARLY_STOPPING.value is not None and not has_validation:
        raise app.UsageError(
            "--early_stopping_patience must come with --validation_split=validation: stopping by "
            f"the test split would flatter the result. Received: {EARLY_STOPPING.value} alone"
        )
    averages = WEIGHT_AVERAGING.value != "none"
    if averages and not has_validation:
        raise app.UsageError(
            "--weight_averaging must come with --validation_split=validation: choosing by the test "
            f"split would flatter the result. Received: {WEIGHT_AVERAGING.value} alone"
        )
    if WARMUP_EPOCHS.value is not None and WARMUP_EPOCHS.value >= epochs:
        raise app.UsageError(
            f"--warmup_epochs must be less than --epochs={epochs}. "
            f"Received: --warmup_epochs={WARMUP_EPOCHS.value}"
        )
    of_steps = (LEARNING_RATE_SCHEDULE, WARMUP_EPOCHS, CLIP_NORM, WEIGHT_AVERAGING)
    given = [flag.name for flag in of_steps if flag.value != flag.default]
    if solved and given:
        raise app.UsageError(
            "--head_solver must be sgd for training in steps. "
            f"Received: --{given[0]} with another --head_solver"
        )


def start(seed):
    """Sets precision, seeds and determinism; before anything is computed.

    Args:
        seed: int.
    """
    import keras
    import tensorflow as tf

    keras.config.set_dtype_policy(MIXED_PRECISION.value)
    keras.utils.set_random_seed(seed)
    if DETERMINISTIC.value:
        tf.config.experimental.enable_op_determinism()


def compile_model(model, examples, epochs, batch_size):
    """Compiles a model with the optimizer that the flags describe, under the model's strategy.

    Args:
        model: a `TextAssistedClassifier`, or one that writes.
        examples: data set of `data.load` or `data.load_pairs` that it will learn from.
        epochs, batch_size: ints.
    """
    per_epoch = math.ceil(_num_rows(model, examples) / batch_size)
    steps = epochs * per_epoch
    options = {"learning_rate_schedule": LEARNING_RATE_SCHEDULE.value}
    if LEARNING_RATE.value is not None:
        options["learning_rate"] = LEARNING_RATE.value
    if WARMUP_EPOCHS.value is not None:
        options["warmup_steps"] = min(int(WARMUP_EPOCHS.value * per_epoch), steps - 1)
    if CLIP_NORM.value is not None:
        options["clip_norm"] = CLIP_NORM.value or None
    losses = {}
    if LABEL_SMOOTHING.value is not None:
        losses = {"loss": tatl_keras.models.TokenCrossentropy(LABEL_SMOOTHING.value)}
    with model.distribute_strategy.scope():
        model.compile(tatl_keras.training.make_optimizer(model, steps=steps, **options), **losses)


def callbacks(splits, evaluation):
    """List of the `keras.callbacks` that the flags ask for.

    Args:
        splits: dict from role to data set; nothing is chosen where there is no `validation`.
        evaluation: dict of `batch_size` and `feature_cache`, as `evaluate` takes them.
    """
    import keras

    found, validation = [], splits.get("validation")
    averages = WEIGHT_AVERAGING.value == "greedy_soup"
    if validation is not None and EARLY_STOPPING.value is not None:
        # Weights that are averaged are chosen among all epochs: there is none to go back to.
        options = {"patience": EARLY_STOPPING.value, "restore_best_weights": not averages}
        found.append(keras.callbacks.EarlyStopping(**options))
    if validation is not None and averages:
        found.append(tatl_keras.training.EpochSoup(validation, **evaluation))
    return found


def recipe_of(model):
    """What the flags came to, for `config.json`: the optimizer, the precision, determinism."""
    import keras

    return {
        "optimizer": keras.saving.serialize_keras_object(model.optimizer),
        "dtype_policy": model.dtype_policy.name,
        "deterministic": DETERMINISTIC.value,
    }


def _num_rows(model, examples):
    """Rows of an epoch: the examples, and class texts where these are examples too."""
    rows = examples.summary["num_examples"]
    if isinstance(model, (tatl_keras.models.Captioner, tatl_keras.models.Translator)):
        return rows
    made_of_texts = isinstance(model.head, tatl_keras.models.few_shot_head.CLASS_TEXT_HEADS)
    if model.class_texts is None or made_of_texts:
        return rows
    if model.class_names is None:
        model.class_names = examples.class_names
    return rows + len(model.labelled_texts)
