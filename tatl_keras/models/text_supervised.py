"""A classifier of pictures alone that learns from pictures with text."""

import math
import numbers
import threading

import keras
import tensorflow as tf
from keras import ops

from tatl_keras import fusion as fusions
from tatl_keras.data import Preprocessor
from tatl_keras.models.class_texts import embeddings_of
from tatl_keras.models.classifier import TextAssistedClassifier
from tatl_keras.models.features import TEXT, encode
from tatl_keras.models.labels import one_hot
from tatl_keras.models.text_losses import (
    class_similarity_loss,
    contrastive_loss,
    distillation_loss,
    label_loss,
)

_TEXT_INPUTS = ("token_ids", "text_pooled")


@keras.saving.register_keras_serializable(package="tatl_keras")
class TextSupervisedClassifier(TextAssistedClassifier):
    """Classifies pictures alone; their texts teach it while it learns, and are not needed after.

        logits  = norm(image) @ W + b                                (B, num_classes)
        teacher = norm(text) @ U + c                                 learns along, on the texts
        loss    = cross-entropy(logits) + cross-entropy(teacher)
                + distillation_weight * T² KL(softmax(teacher / T) || softmax(logits / T))
                + alignment_weight * InfoNCE(image, text @ P)
                + alignment_weight * cross-entropy(norm(text @ P) @ W + b)
                + class_text_weight * cross-entropy to targets shared among classes of like texts

    Distillation: the head learns the probabilities of a head on the texts. Alignment: P takes texts
    to where their pictures are, the image tower being locked unless it is unfrozen; there they
    are further examples for the head. Class texts (`class_texts`) are examples for the teacher, and
    with `class_text_weight` say which classes are alike.

    Rows without a text give no teacher's, distillation or alignment loss, rows without a picture
    no loss but the teacher's. `predict`, `evaluate` and the losses they report never look at a
    text. `export` and `save_to_preset` write the image side alone; `save` keeps everything, so that
    training can go on.

    Shape letters: B batch, D channels.

    Args:
        image_encoder: an encoder layer of `tatl_keras.encoders`.
        text_encoder: likewise; used while learning, and nowhere else.
        fusion: a fusion that reads the image alone. Defaults to "image_only".
        num_classes: int ≥ 2.
        distillation_weight: float ≥ 0, of the distillation; 0 turns it off. Defaults to 1.
        temperature: float > 0, T. Defaults to 4.
        alignment_weight: float ≥ 0, of the alignment; 0 turns it off. Defaults to 0: on a locked
            image tower 0.3 changed little, and 1 cost half a point to one point with few examples.
        class_text_weight: float ≥ 0, of the class-text targets, for which the model needs
            `class_texts` for every class and a frozen text encoder; 0 turns them off. Defaults to
            0, as they were not found to help.
        **kwargs: as of `TextAssistedClassifier`.

    Call arguments:
        inputs, training: as of `TextAssistedClassifier`; texts are read where `training` is true.

    Returns:
        Logits (B, num_classes), float32.

    Raises:
        ValueError: an encoder is missing, the fusion reads text, or a weight or the temperature is
            out of its bounds; errors of `TextAssistedClassifier`.

    Example:

    >>> from tatl_keras import data, zoo
    >>> model = zoo.build("test_efficientnet_bert_concat", 2, text_at_inference=False, seed=0)
    >>> examples = data.synthetic.examples(2, 8, seed=0)
    >>> history = model.fit(examples, epochs=1, verbose=0)
    >>> pictures = examples.map(lambda x, y: {"image": x["image"]})
    >>> model.predict(pictures, verbose=0).shape
    (8, 2)

    Reference: Lopez-Paz et al. 2016, "Unifying distillation and privileged information", section 4,
    https://arxiv.org/abs/1511.03643.
    """

    text_in_training = True

    def __init__(
        self,
        image_encoder=None,
        text_encoder=None,
        fusion="image_only",
        num_classes=None,
        *,
        distillation_weight=1.0,
        temperature=4.0,
        alignment_weight=0.0,
        class_text_weight=0.0,
        compile=True,
        **kwargs,
    ):
        for name, encoder in (("image_encoder", image_encoder), ("text_encoder", text_encoder)):
            if encoder is None:
                raise ValueError(
                    f"`{name}` must be an encoder for a model that learns from pictures with text. "
                    f"Received: {name}=None"
                )
        weights = {
            "distillation_weight": distillation_weight,
            "alignment_weight": alignment_weight,
            "class_text_weight": class_text_weight,
        }
        for name, value in weights.items():
            _check(name, value, "at least 0", lambda v: v >= 0)
        _check("temperature", temperature, "greater than 0", lambda v: v > 0)
        fusion = fusions.get(fusion)
        if getattr(fusion, "modality", None) != "image":
            raise ValueError(
                '`fusion` must be "image_only" for a model that reads no text at inference. '
                f"Received: fusion={fusion.name}"
            )
        super().__init__(image_encoder, text_encoder, fusion, num_classes, compile=False, **kwargs)
        self.distillation_weight = float(distillation_weight)
        self.temperature = float(temperature)
        self.alignment_weight = float(alignment_weight)
        self.class_text_weight = float(class_text_weight)
        self.text_projection.trainable = bool(alignment_weight)
        self._keep(_seen=threading.local())  # each replica is traced by a thread of its own
        if compile:
            self.compile()

    def build(self, input_shape=None):
        if self.built:
            return
        super().build(input_shape)
        dim = self.text_encoder.output_dim
        self.text_head = keras.layers.Dense(
            self.num_classes, kernel_initializer="zeros", dtype="float32", name="text_head"
        )
        self.text_projection = keras.layers.Dense(
            self.image_encoder.output_dim, use_bias=False, dtype="float32", name="text_projection",
            kernel_initializer=self.fusion.make_initializer(1),
        )  # fmt: skip
        for layer in (self.text_head, self.text_projection):
            layer.build((None, dim))
        self.class_embeddings = self.add_weight(
            shape=(self.num_classes, dim), initializer="zeros", trainable=False, dtype="float32",
            name="class_embeddings",
        )  # fmt: skip

    def encode(self, inputs, training=None):
        features = super().encode(inputs, training=training)
        self._seen.features = None
        if training and any(name in inputs for name in _TEXT_INPUTS):
            texts = encode({"text": self.text_encoder}, TEXT, inputs, training)
            self._seen.features = features | texts
        return features

    def make_train_function(self, force=False):
        replicas = self.distribute_strategy.num_replicas_in_sync
        if self.alignment_weight and replicas > 1:
            raise ValueError(
                "`alignment_weight` must be 0 with several replicas: each would tell pictures only "
                "from texts of its own rows, not of the batch. Received: "
                f"alignment_weight={self.alignment_weight}, {replicas} replicas"
            )
        if self.class_text_weight:  # by now `fit` knows names and vocabulary
            self._embed_classes()
        return super().make_train_function(force)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss on labels, and while learning what the texts add to it."""
        seen = getattr(self._seen, "features", None)
        self._seen.features = None  # they are of this step alone
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if not training or (seen is None and not self.class_text_weight):
            return loss
        labels = one_hot(y, self.num_classes)
        rows = ops.ones_like(labels[:, 0])
        if sample_weight is not None:
            rows = ops.reshape(ops.cast(sample_weight, "float32"), [-1])
        added = 0.0 if seen is None else self._from_texts(seen, labels, y_pred, rows)
        if self.class_text_weight:
            added += self.class_text_weight * class_similarity_loss(
                y_pred, labels, self.class_embeddings, rows
            )
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return loss + self.of_whole_batch(added / replicas, y_pred)

    def _from_texts(self, seen, labels, logits, rows):
        """What the texts of a batch add to the loss."""
        texts = self.fusion.pooled(seen, "text")
        written = rows * ops.cast(seen["has_text"], "float32")
        paired = written * ops.cast(seen["has_image"], "float32")
        teacher = self.text_head(texts)
        loss = label_loss(teacher, labels, written)
        if self.distillation_weight:
            loss += self.distillation_weight * distillation_loss(
                logits, teacher, paired, self.temperature
            )
        if self.alignment_weight:
            projected = self.text_projection(texts)
            there = ops.stop_gradient(self.fusion.normalize(projected, seen["has_text"]))
            loss += self.alignment_weight * (
                contrastive_loss(self.fusion.pooled(seen, "image"), projected, paired)
                + label_loss(self.head(there), labels, written)
            )
        return loss

    def _embed_classes(self):
        known = {label for label, _ in self.labelled_texts}
        if len(known) < self.num_classes or not self.text_encoder.frozen:
            raise ValueError(
                "`class_text_weight` must be 0 unless `class_texts` describe every class and the "
                f"text encoder is frozen. Received: class_text_weight={self.class_text_weight}, "
                f"texts for {len(known)} of {self.num_classes} classes, "
                f"text_encoder.frozen={self.text_encoder.frozen}"
            )
        found = embeddings_of(self, self.labelled_texts, self.num_classes)
        self.class_embeddings.assign(found)

    def without_text(self):
        """The same classifier as one of pictures alone, sharing every layer that it needs.

        Returns:
            A `TextAssistedClassifier` without a text encoder, not compiled.
        """
        preprocessor = self.preprocessor
        if preprocessor is not None:
            preprocessor = Preprocessor(preprocessor.image_converter)
        model = TextAssistedClassifier(
            self.image_encoder, None, self.fusion, self.num_classes, head=self.head,
            preprocessor=preprocessor, class_names=self.class_names, compile=False,
            name=self.name,
        )  # fmt: skip
        model.prior.counts.assign(self.prior.counts)
        return model

    def export(self, filepath, overwrite=False):
        """As `TextAssistedClassifier.export`; what is written has no text encoder."""
        self.without_text().export(filepath, overwrite=overwrite)

    def save_to_preset(self, preset_dir):
        """As `TextAssistedClassifier.save_to_preset`; what is written has no text encoder."""
        self.without_text().save_to_preset(preset_dir)

    def get_config(self):
        names = ("distillation_weight", "temperature", "alignment_weight", "class_text_weight")
        return super().get_config() | {name: getattr(self, name) for name in names}


def _check(name, value, bounds, holds):
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and holds(value)):
        raise ValueError(f"`{name}` must be a number {bounds}. Received: {name}={value!r}")
