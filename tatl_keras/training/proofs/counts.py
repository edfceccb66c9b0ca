"""Proof: parameters and operations, counted twice and held against papers."""

import math

import keras
import tensorflow as tf

from tatl_keras import encoders, layers
from tatl_keras.encoders.catalog import ARCHITECTURES
from tatl_keras.models.features import feature_shapes
from tatl_keras.training.proofs import papers
from tatl_keras.training.proofs.decoder_parameters import decoder_parameters
from tatl_keras.training.proofs.subject import (
    COUNTED_CLASSES,
    ProofError,
    behind,
    encoders_of,
)
from tatl_keras.training.proofs.traced_flops import traced_flops

# Executed in loops, or in another order than their equations have it.
_OTHERWISE = (keras.layers.LSTM, layers.LocalSelfAttention2D, layers.AttentionStem)
_COUNTED: dict[tuple, dict] = {}
_LOOSE = 400  # temperatures, biases and tables of positions that KerasHub counts along


def prove(subject):
    """Counts an entry for ten classes, or the largest vocabulary, one picture and one text.

    Operations of the encoders are counted by the equations of their layers
    (`encoders.count_flops`) and once more from the operations that TensorFlow would execute;
    those of fusion and head in the second way alone. Of a decoder, whose operations depend on what
    it writes, the parameters are counted, and once more by its equations.

    Returns:
        A dict with `result`, `bound` and `facts`.

    Raises:
        ProofError: two counts differ, or a count is not what a paper, or KerasHub of its preset,
            says.
    """
    facts = count(subject)
    rows = []
    for modality, name in (("image", subject.spec.image), ("text", subject.spec.text)):
        if name in ARCHITECTURES:
            found, wrong = papers.compare(name, facts["encoders"][modality])
            if wrong:
                raise ProofError("; ".join(wrong))
            rows += [{"encoder": name} | row for row in found]
    _check_presets(subject, facts)
    parameters, flops = facts["parameters"], facts["flops"]
    return {
        "result": f"{parameters['learned']:,} of {parameters['total']:,} parameters learn; "
        f"{sum(flops.values()) / 1e9:.3g} GFLOP {_per(facts)}",
        "bound": _say_bound(facts, rows),
        "facts": facts | {"papers": rows},
    }


def count(subject):
    """Parameters and operations of an entry, from a model without values."""
    spec = subject.spec
    found = subject.ask_weightless(lambda model: _count(model, spec))
    _check_decoders(found)
    for modality, each in found["encoders"].items():
        if each["traced"] is not None and each["traced"] != each["flops"]:
            raise ProofError(
                f"the {modality} encoder has {each['flops']:,} operations by the equations of its "
                f"layers and {each['traced']:,} in the traced graph"
            )
    return found


def number(weights):
    """How many numbers weights hold."""
    return sum(math.prod(weight.shape) for weight in weights)


def _count(model, spec):
    preprocessor = model.preprocessor
    size, length = preprocessor.image_size, preprocessor.sequence_length
    found, flops = {}, {}
    for modality, encoder in encoders_of(model).items():
        name = getattr(spec, modality)
        key = (name if name in ARCHITECTURES else encoder, size, length)
        if key not in _COUNTED:  # entries share encoders
            _COUNTED[key] = _count_encoder(encoder, modality, size, length)
        found[modality] = dict(_COUNTED[key])
    flops = {modality: found[modality]["flops"] for modality in model.encoders}
    parts = behind(model)
    parameters = {name: each["parameters"] for name, each in found.items()}
    parameters |= {name: number(layer.weights) for name, layer in parts.items()}
    parameters |= {"learned": number(model.trainable_weights), "total": number(model.weights)}
    shared = {
        "image_size": list(size) if "image" in found else None,
        "sequence_length": length if "text" in found else None,
        "parameters": parameters,
        "encoders": found,
    }
    if "decoder" not in parts:
        flops |= {"fusion and head": _traced_head(model, size, length)}
        return shared | {"classes": COUNTED_CLASSES, "flops": flops}
    (encoder,) = model.encoders.values()
    equations = {name: decoder_parameters(part, encoder.output_dim) for name, part in parts.items()}
    return shared | {
        "vocabulary": model.decoder.vocabulary_size,
        "flops": flops,
        "by equations": equations,
    }


def _check_decoders(facts):
    """Raises a ProofError where the equations of a decoder give it other parameters."""
    for name, expected in facts.get("by equations", {}).items():
        ours = facts["parameters"][name]
        if expected is not None and ours != expected:
            raise ProofError(
                f"the {name.replace('_', ' ')} should have {expected:,} parameters by its "
                f"equations, and has {ours:,}"
            )


def _per(facts):
    return "to read an example" if "vocabulary" in facts else "an example"


def _count_encoder(encoder, modality, size, length):
    """Counts of an encoder, as a dict."""
    if modality == "image":
        inputs, known = tf.TensorSpec((1, *size, 3)), {"image_size": size}
    else:
        spec, known = tf.TensorSpec((1, length), tf.int32), {"sequence_length": length}
        inputs = {"token_ids": spec, "padding_mask": spec}
    function = tf.function(lambda given: list(encoder(given).values()))
    traced = None
    if not any(isinstance(layer, _OTHERWISE) for layer in encoder._flatten_layers()):
        traced = traced_flops(function.get_concrete_function(inputs))
    return {
        "parameters": number(encoder.weights),
        "learnable": number(weight for weight in encoder.weights if _could_learn(weight)),
        "channels": encoder.output_dim,
        "flops": encoders.count_flops(encoder, **known),
        "traced": traced,
    }


def _could_learn(weight):
    """Whether a weight is neither a statistic nor a number of a position."""
    return "moving_" not in weight.path and "float" in str(weight.dtype)


def _check_presets(subject, facts):
    """Raises a ProofError where KerasHub says of a preset that it has other parameters."""
    found = facts["encoders"]
    said = {m: papers.preset_parameters(getattr(subject.spec, m)) for m in found}
    if len(set(said.values())) == 1 and len(said) == 2:  # two towers of one preset
        said = {"image and text": next(iter(said.values()))}
    for modality, expected in said.items():
        ours = sum(each["parameters"] for name, each in found.items() if name in modality)
        if expected is not None and abs(ours - expected) > _LOOSE:
            raise ProofError(
                f"{modality} should have the {expected:,} parameters that KerasHub names for the "
                f"preset, and has {ours:,}"
            )


def _say_bound(facts, rows):
    """How the counts were checked, in words."""
    alone = [name for name, each in facts["encoders"].items() if each["traced"] is None]
    words = "operations by equations and in the traced graph agree to the last one"
    if alone:
        words += f" (of {' and '.join(alone)}: by equations alone)"
    if all(facts.get("by equations", {"": None}).values()):
        words += "; so do the decoder's parameters by its equations"
    return words + (f"; numbers of papers: {len(rows)}" if rows else "")


def _traced_head(model, size, length):
    """Operations of fusion and head on the features of one example."""
    text = dict.fromkeys(("token_ids", "padding_mask"), (1, length))
    shapes = {"image": (1, *(size or ()), 3), "text": text}
    specs = {}
    for name, shape in feature_shapes(model.encoders, model.fusion.uses).items():
        modality = "image" if "image" in name else "text"
        tokens = model.encoders[modality].compute_output_shape(shapes[modality])["tokens"][1]
        shape = (1, *(tokens if side is None else side for side in shape[1:]))
        kind = tf.int32 if name.endswith("mask") or name.startswith("has_") else tf.float32
        specs[name] = tf.TensorSpec(shape, kind)
    function = tf.function(lambda features: model.head(model.fusion(features)))
    return traced_flops(function.get_concrete_function(specs))
