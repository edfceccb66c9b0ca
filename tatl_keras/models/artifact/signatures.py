"""What an exported model can be asked: the functions of a SavedModel."""

import os

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tatl_keras._files import write_whole
from tatl_keras.data.served_examples import isolated_examples
from tatl_keras.data.served_pictures import isolated_image_tensors
from tatl_keras.models.artifact.answers import answer, top
from tatl_keras.models.artifact.attention_maps import (
    attention_maps,
    gives_attention,
    grid_of,
    words_of,
)
from tatl_keras.models.artifact.class_names import served_class_names
from tatl_keras.models.artifact.described_classes import described_logits, embeds_texts
from tatl_keras.models.lint.saved_model import FILE
from tatl_keras.models.lint.signature_rules import SERVE

CLASSIFY = "classify"
CLASSIFY_EXAMPLES = "classify_examples"
CLASSIFY_WITH_TEXTS = "classify_with_texts"
EMBED = "embed"
EXPLAIN = "explain"
TENSORS = "tensors"
_ROWS = (
    tf.TensorSpec([None], tf.string, name="image_bytes"),
    tf.TensorSpec([None], tf.string, name="text"),
)
_CLASSIFY_API = "tensorflow/serving/classify"
_EXAMPLES = tf.TensorSpec([None], tf.string, name="inputs")
_CLASS_TEXTS = tf.TensorSpec([None, None, None], tf.string, name="class_texts")
NO_ROWS = "the request must have at least one row"


def serving_module(model, weights, *, max_pixels, top_k, temperature):
    """A `tf.Module` with the model's variables and functions, and nothing of Keras.

    Args:
        model: a `TextAssistedClassifier` that can be exported.
        weights: `ExportedWeights` of it.
        max_pixels: int, larger pictures are not decoded.
        top_k: int, how many classes `classify` tells.
        temperature: float > 0, of the probabilities.

    Returns:
        The module, and a dict from signature to function.
    """
    served = _Served(model, weights, max_pixels, top_k, temperature)
    module = tf.Module()
    module.class_names = tf.function(lambda: served.names, input_signature=[])
    module.functions = served.signatures()
    module.model_variables = weights.variables  # those that the functions read
    return module, module.functions


class _Served:
    """The functions of an export; arguments as of `serving_module`.

    All signatures go through the same inner functions: from bytes and strings to tensors, from
    tensors to features, and from features to an answer. Each is traced once; called as a
    `tf.function`, it would be twice.
    """

    def __init__(self, model, weights, max_pixels, top_k, temperature):
        names = served_class_names(model)
        self.names = tf.constant(names)
        self._model, self._weights = model, weights
        self._max_pixels, self._temperature = max_pixels, temperature
        self._top_k = min(top_k, len(names))
        self._specs = tensor_specs(model)
        self._read_rows = traced(self._read, *_ROWS)
        self._encode_rows = traced(self._encode, self._specs)
        features = self._encode_rows.structured_outputs
        specs = {name: tf.TensorSpec(x.shape, x.dtype) for name, x in features.items()}
        self._decide_rows = traced(self._decide, specs)

    def signatures(self):
        """Dict from name to concrete function, as far as the model can be asked."""
        asked = {SERVE: self.serve, CLASSIFY: self.classify, EMBED: self.embed}
        if gives_attention(self._model.fusion):
            asked[EXPLAIN] = self.explain
        found = {name: traced(function, *_ROWS) for name, function in asked.items()}
        found[CLASSIFY_EXAMPLES] = traced(self.classify_examples, _EXAMPLES)
        found[TENSORS] = tf.function(self.tensors).get_concrete_function(**self._specs)
        if embeds_texts(self._model):
            found[CLASSIFY_WITH_TEXTS] = traced(self.classify_with_texts, *_ROWS, _CLASS_TEXTS)
        return found

    def _read(self, image_bytes, text):
        rows = tf.size(image_bytes)
        checks = [
            tf.debugging.assert_equal(
                rows, tf.size(text), "image_bytes and text must have equally many rows"
            ),
            tf.debugging.assert_positive(rows, NO_ROWS),
        ]
        with tf.control_dependencies(checks):
            raw = {"image": tf.identity(image_bytes), "text": tf.identity(text)}
        tensors = served_tensors(self._model, raw, self._max_pixels)
        return {name: tensors[name] for name in self._specs}

    def _encode(self, tensors):
        with self._weights.applied():
            return self._model.encode(tensors, training=False)

    def _decide(self, features):
        with self._weights.applied():
            logits = self._model(features, training=False)
        label = tf.gather(self.names, tf.argmax(logits, axis=-1))
        return answer(logits, label, features, self._temperature)

    def _features(self, image_bytes, text):
        return self._encode_rows(self._read_rows(image_bytes, text))

    def serve(self, image_bytes, text):
        return self._decide_rows(self._features(image_bytes, text))

    def classify(self, image_bytes, text):
        return top(self.serve(image_bytes, text), self.names, self._top_k)

    def classify_examples(self, inputs):
        some = tf.debugging.assert_positive(tf.size(inputs), NO_ROWS)
        with tf.control_dependencies([some]):
            found = self.classify(*isolated_examples(tf.identity(inputs)))
        return {"classes": found["labels"], "scores": found["probabilities"]}

    def classify_with_texts(self, image_bytes, text, class_texts):
        features = self._features(image_bytes, text)
        with self._weights.applied():
            logits, label = described_logits(self._model, features, class_texts)
        return answer(logits, label, features, self._temperature)

    def tensors(self, **tensors):
        found = self._decide_rows(self._encode_rows(tensors))
        return {name: found[name] for name in ("probabilities", "logits", "valid")}

    def embed(self, image_bytes, text):
        features = self._features(image_bytes, text)
        with self._weights.applied():
            fused = self._model.fusion(features, training=False)
        valid = self._decide_rows(features)["valid"]
        vectors = {name: _pooled(features, name) for name in self._model.encoders}
        return vectors | {"fused": tf.where(valid[:, None], fused, 0.0), "valid": valid}

    def explain(self, image_bytes, text):
        model = self._model
        tensors = self._read_rows(image_bytes, text)
        features = self._encode_rows(tensors)
        with self._weights.applied():
            maps = attention_maps(model.fusion, features, grid_of(model))
        pieces = tensors["token_ids"], tensors["padding_mask"]
        maps["words"] = words_of(model.preprocessor.tokenizer, *pieces)
        found = self._decide_rows(features)
        return maps | {name: found[name] for name in ("probabilities", "label", "valid")}


def name_methods(directory):
    """Names in a written SavedModel the API for which a signature is, where it is not Predict.

    `tf.saved_model.save` knows one API. Servers look at the name only with
    `--enable_signature_method_name_check`.
    """
    path = os.path.join(directory, FILE)
    with open(path, "rb") as file:
        message = saved_model_pb2.SavedModel.FromString(file.read())
    for meta_graph in message.meta_graphs:
        for name in {CLASSIFY_EXAMPLES} & {*meta_graph.signature_def}:
            meta_graph.signature_def[name].method_name = _CLASSIFY_API
    write_whole(path, message.SerializeToString(deterministic=True))


def traced(function, *inputs):
    """A concrete function of inputs as these `TensorSpec`s say."""
    return tf.function(function, input_signature=inputs).get_concrete_function()


def tensor_specs(model):
    """Dict of the tensors that the model reads of B rows, as `TensorSpec`s."""
    specs = {}
    if "image" in model.encoders:
        shape = [None, *model.preprocessor.image_converter.image_size, 3]
        specs["images"] = tf.TensorSpec(shape, tf.float32, name="images")
        specs["has_image"] = tf.TensorSpec([None], tf.int32, name="has_image")
    if "text" in model.encoders:
        shape = [None, model.preprocessor.sequence_length]
        for name in ("token_ids", "padding_mask"):
            specs[name] = tf.TensorSpec(shape, tf.int32, name=name)
    return specs


def served_tensors(model, raw, max_pixels):
    """What `model.preprocessor` makes of a batch; pictures it cannot read count as missing.

    Args:
        model: a `TextAssistedClassifier`, or what else has encoders and a preprocessor.
        raw: dict of string tensors (B,), `image` and `text`, of what the model reads.
        max_pixels: int, larger pictures are not decoded.
    """
    tensors = model.preprocessor.tensors(raw, {*model.encoders} - {"image"})
    if "image" in model.encoders:
        tensors |= isolated_image_tensors(model.preprocessor, raw["image"], max_pixels)
    return tensors


def _pooled(features, modality):
    """The encoder's pooled vector, zeros where the modality is missing."""
    there = tf.cast(features[f"has_{modality}"], tf.bool)
    return tf.where(there[:, None], features[f"{modality}_pooled"], 0.0)
