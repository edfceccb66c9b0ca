"""A model's encoders, answers and gradients as compiled functions of any weights."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from tatl_keras.encoders import fold_batch_norm
from tatl_keras.models.explanation.rollout import attention_scores

_PARTS = ("tokens", "pooled", "mask")
BATCH = 32
_BYTES = 2**25  # of the features of pairs that are answered at once
_ROWS = 8


class Functions:
    """What is traced once for a model; `functions_of` keeps it with the model.

    Each takes a list of tensors, the weights to compute with, or an empty one for the model's own.
    `networks` are the encoders that it is made of, batch normalisation folded; their variables have
    the order of the weights.
    """

    def __init__(self, model):
        self.model = model
        self.networks = {name: fold_batch_norm(one) for name, one in model.encoders.items()}
        self.encode, self.scores = {}, {}
        for name, one in self.networks.items():
            self.encode[name] = _traced(one.variables, one, training=False)
            self.scores[name] = _traced(one.variables, attention_scores, one)
        self.deciding = [*model.fusion.variables, *model.head.variables]
        self.answer = _traced(self.deciding, self._probabilities)
        self.gradients = _traced(self.deciding, self._gradients)

    def _probabilities(self, features):
        return tf.nn.softmax(self.model(features, training=False))

    def _gradients(self, features, index):
        """Gradients of a logit with respect to tokens, through pooled vectors made of them."""
        tokens = {name: value for name, value in features.items() if name.endswith("_tokens")}
        with tf.GradientTape() as tape:
            tape.watch(tokens)
            pooled = {
                f"{m}_pooled": _pooled(encoder, tokens[f"{m}_tokens"], features[f"{m}_mask"])
                for m, encoder in self.model.encoders.items()
            }
            made = {name: value for name, value in pooled.items() if value is not None}
            read = {n: v for n, v in (features | made).items() if n in self.model.fusion.uses}
            logit = self.model(read, training=False)[:, index]
        return tape.gradient(logit, tokens, unconnected_gradients="zero")


def functions_of(model):
    """The model's `Functions`, traced once while it has the same encoders and variables."""
    known = [id(variable) for variable in (*model.fusion.variables, *model.head.variables)]
    known += [encoder.digest() for encoder in model.encoders.values()]
    kept = vars(model).get("_explaining")
    if kept is None or kept[0] != known:
        kept = known, Functions(model), {}
        model._keep(_explaining=kept)
    return kept[1]


class Answers:
    """A model with its own weights, or with others, as far as explanations ask it.

    Args:
        model: a `TextAssistedClassifier`.
        weights: dict from "image", "text" and "deciding" to lists of tensors in the order of the
            variables of `Functions`; `None` for the model's own.
    """

    def __init__(self, model, weights=None):
        self.model, self.functions, self.weights = model, functions_of(model), weights or {}
        self.uses = model.fusion.uses

    def encode(self, modality, inputs, there):
        """Features of one modality.

        Args:
            modality: "image" or "text".
            inputs: pictures (K, H, W, C), or a dict of token_ids and padding_mask (K, L).
            there: bools (K,), whether the modality is present.

        Returns:
            Dict of arrays `<modality>_tokens`, `…_pooled`, `…_mask` and `has_<modality>`.
        """
        order = np.arange(len(there))
        if modality == "text":  # texts of about one length together
            order = np.argsort(inputs["padding_mask"].sum(axis=1), kind="stable")
        found = {}
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            for part, value in self._run(modality, inputs, rows).items():
                if part not in found:
                    length = inputs["token_ids"].shape[1] if modality == "text" else value.shape[1]
                    shape = value.shape[1:] if part == "pooled" else (length, *value.shape[2:])
                    found[part] = np.zeros((len(order), *shape), value.dtype)
                if part == "pooled":
                    found[part][rows] = value
                else:
                    found[part][rows, : value.shape[1]] = value
        has = np.asarray(there, np.int32)
        features = {f"{modality}_{part}": found[part] for part in _PARTS}
        features[f"{modality}_mask"] = features[f"{modality}_mask"] * has[:, None]
        return features | {f"has_{modality}": has}

    def probabilities(self, features, rows):
        """Probabilities (P, C) of pairs.

        Args:
            features: dict from modality to features as `encode` gives.
            rows: dict from modality to ints (P,), rows of them.
        """
        read = {
            name: (value, rows[modality])
            for modality, values in features.items()
            for name, value in values.items()
            if name in self.uses
        }
        size = max(sum(value[0].nbytes for value, _ in read.values()), 1)
        step = int(np.clip(_BYTES // size, _ROWS, 1024))
        count = len(next(iter(rows.values())))
        found = []
        for start in range(0, count, step):
            some = {name: value[at[start : start + step]] for name, (value, at) in read.items()}
            some = {name: tf.constant(value) for name, value in some.items()}
            found.append(self.functions.answer(self.weights.get("deciding", []), some).numpy())
        return np.concatenate(found).astype(np.float64)

    def gradients(self, features, index):
        """Gradients of the logit of a class for one row: dict of arrays like its tokens."""
        some = {name: tf.constant(value) for name, value in features.items()}
        weights = self.weights.get("deciding", [])
        found = self.functions.gradients(weights, some, tf.constant(index))
        return {name: value.numpy() for name, value in found.items()}

    def attention_scores(self, modality, inputs):
        """What `rollout.attention_scores` says of one example, as arrays."""
        some = tf.nest.map_structure(tf.constant, inputs)
        found = self.functions.scores[modality](self.weights.get(modality, []), some)
        return [scores.numpy()[0].astype(np.float64) for scores in found]

    def applied(self):
        """Inside, the fusion has these weights where it runs eagerly."""
        return _weights(self.functions.deciding, self.weights.get("deciding", []))

    def _run(self, modality, inputs, rows):
        """What an encoder makes of some rows, a multiple of 8 at once, texts cut to length."""
        filled = np.concatenate([rows, np.repeat(rows[:1], -len(rows) % _ROWS)])
        if isinstance(inputs, dict):
            length = max(int(inputs["padding_mask"][rows].sum(axis=1).max()), 1)
            some = {name: tf.constant(value[filled, :length]) for name, value in inputs.items()}
        else:
            some = tf.constant(inputs[filled])
        found = self.functions.encode[modality](self.weights.get(modality, []), some)
        return {name: value.numpy()[: len(rows)] for name, value in found.items()}


def _traced(variables, function, *first, **options):
    """A compiled `function(*first, *inputs)` of weights and inputs: it reads weights for variables.

    It is traced once for the model's own weights and once for others, whatever the number of rows
    and the length of texts.
    """
    known: dict = {}

    @tf.function(autograph=False)
    def traced(weights, *inputs):
        with _weights(variables, weights):
            return function(*first, *inputs, **options)

    def call(weights, *inputs):
        if len(weights) not in known:
            given = tf.nest.map_structure(tf.TensorSpec.from_tensor, [weights, *inputs])
            specs = [given[0], *(_any_size(spec) for spec in given[1:])]
            known[len(weights)] = traced.get_concrete_function(*specs)
        return known[len(weights)](weights, *inputs)

    return call


def _any_size(spec, name=""):
    """Specs of any number of rows, and those of texts of any length."""
    if isinstance(spec, dict):
        return {name: _any_size(one, name) for name, one in spec.items()}
    free = 2 if name.startswith(("text_", "token_", "padding_")) else 1
    shape = [None if axis < free else size for axis, size in enumerate(spec.shape)]
    if name == "text_pooled":
        shape[1:] = spec.shape[1:]
    return tf.TensorSpec(shape, spec.dtype)


def _weights(variables, weights):
    if not weights:
        return contextlib.nullcontext()
    return keras.StatelessScope(state_mapping=list(zip(variables, weights, strict=True)))


def _pooled(encoder, tokens, mask):
    """What the encoder makes of its tokens, or `None` where pooled is not made of them."""
    pooling = getattr(encoder, "pooling", None)
    weight = tf.cast(mask, tokens.dtype)[..., None]
    if getattr(encoder, "num_prefix_tokens", None):
        return None
    if hasattr(encoder, "forward_lstm"):
        last, first = _last(mask), tf.zeros_like(mask[:, 0])
        ends = [tf.gather(tokens, place, axis=1, batch_dims=1) for place in (last, first)]
        units = tokens.shape[-1] // 2
        return tf.concat([ends[0][:, :units], ends[1][:, units:]], axis=-1)
    if pooling in ("cls", "end"):
        place = _last(mask) if pooling == "end" else tf.zeros_like(mask[:, 0])
        return tf.gather(tokens, place, axis=1, batch_dims=1)
    if pooling == "own":
        return None
    return tf.reduce_sum(tokens * weight, 1) / tf.maximum(tf.reduce_sum(weight, 1), 1.0)


def _last(mask):
    places = tf.range(1, tf.shape(mask)[1] + 1, dtype=mask.dtype)
    return tf.argmax(mask * places, axis=1, output_type=tf.int32)
