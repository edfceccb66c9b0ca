"""The model of the zoo: frozen encoders, a fusion, a head."""

import keras
import numpy as np
import tensorflow as tf

from tatl_keras import fusion as fusions
from tatl_keras.features import FeatureCache
from tatl_keras.models.export import export
from tatl_keras.models.features import encode, inputs_of
from tatl_keras.models.preset import save_to_preset
from tatl_keras.models.recipe import default_optimizer


@keras.saving.register_keras_serializable(package="tatl_keras")
class TextAssistedClassifier(keras.Model):
    """Classifies pictures with the help of their text, training only what is not frozen.

        features = image_encoder(images), text_encoder(token_ids, padding_mask)
        fused    = fusion(features)                       (B, D)
        logits   = fused @ W + b                          (B, num_classes), float32

    W starts at zero, so the untrained model gives every class the same probability.

    Shape letters: B batch, H, W picture, L text length, D channels.

    Args:
        image_encoder: an encoder layer of `tatl_keras.encoders`, or `None` for text alone.
        text_encoder: likewise, or `None` for pictures alone.
        fusion: a fusion layer, or a name that `tatl_keras.fusion.get` knows. Defaults to "concat".
        num_classes: int ≥ 2.
        preprocessor: a `tatl_keras.data.Preprocessor`, or `None` when the model is fed tensors.
        class_names: list of `num_classes` strings, or `None` to take them from the first data set
            `fit` sees.
        compile: bool, compile with the defaults of `compile`.

    Call arguments:
        inputs: dict of tensors as `preprocessor` makes them (`images` (B, H, W, 3), `token_ids`
            (B, L), `padding_mask` (B, L), `has_image` (B,), `has_text` (B,)), or features as
            `encode` makes them; one modality may come as tensors and the other as features.
            `has_image` defaults to ones, `has_text` to "some token is real".
        training: bool.

    Returns:
        Logits (B, num_classes), float32.

    Raises:
        ValueError: an argument is out of its bounds; the fusion reads a modality that has no
            encoder.

    Example:

    >>> from tatl_keras import zoo
    >>> model = zoo.build("test_efficientnet_lstm_concat", num_classes=2)
    >>> x = {"image": ["", ""], "text": ["a small cat", "a big dog"]}
    >>> history = model.fit(x, [0, 1], epochs=1, verbose=0)
    >>> model.predict(x, verbose=0).shape
    (2, 2)
    """

    def __init__(
        self,
        image_encoder=None,
        text_encoder=None,
        fusion="concat",
        num_classes=None,
        *,
        preprocessor=None,
        class_names=None,
        compile=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not isinstance(num_classes, (int, np.integer)) or num_classes < 2:
            raise ValueError(
                f"`num_classes` must be an int of at least 2. Received: num_classes={num_classes}"
            )
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.fusion = fusions.get(fusion)
        self.num_classes = int(num_classes)
        self._check_encoders()
        self.head = keras.layers.Dense(
            self.num_classes, kernel_initializer="zeros", dtype="float32", name="head"
        )
        # Past Keras's layer tracking: the preprocessor has no variables and runs on the host.
        object.__setattr__(self, "preprocessor", preprocessor)
        object.__setattr__(self, "_class_names", None)
        if class_names is not None:
            self.class_names = class_names
        self.build()
        if compile:
            self.compile()

    def build(self, input_shape=None):
        if not self.built:
            shapes = {}
            for modality, encoder in self.encoders.items():
                shapes |= {
                    f"{modality}_tokens": (None, None, encoder.output_dim),
                    f"{modality}_pooled": (None, encoder.output_dim),
                    f"{modality}_mask": (None, None),
                    f"has_{modality}": (None,),
                }
            shapes = {name: shape for name, shape in shapes.items() if name in self.fusion.uses}
            if not self.fusion.built:  # one that was deserialised is
                self.fusion.build(shapes)
            self.head.build(self.fusion.compute_output_shape(shapes))
            self.built = True

    @property
    def encoders(self):
        """Dict from "image", "text" or both to the encoder."""
        pairs = {"image": self.image_encoder, "text": self.text_encoder}
        return {modality: encoder for modality, encoder in pairs.items() if encoder is not None}

    @property
    def class_names(self):
        """List of str in the order of the logits, or `None` while unknown."""
        return self._class_names

    @class_names.setter
    def class_names(self, names):
        names = [str(name) for name in names]
        if len(names) != self.num_classes or len(set(names)) != len(names):
            raise ValueError(
                f"`class_names` must be {self.num_classes} different names (num_classes). "
                f"Received: class_names={names[:20]} ({len(names)} names)"
            )
        object.__setattr__(self, "_class_names", names)

    def compile(self, optimizer="auto", loss="auto", *, metrics="auto", **kwargs):
        """Configures training; every `"auto"` is chosen for small data.

        Args:
            optimizer: `"auto"` is SGD (0.002, Nesterov momentum 0.9) for a linear head on frozen
                encoders; otherwise Adam, 1e-4 where a pretrained encoder learns, else 1e-3.
            loss: `"auto"` is sparse categorical cross-entropy from logits.
            metrics: `"auto"` is `["accuracy"]`.
            **kwargs: as in `keras.Model.compile`.
        """
        if optimizer == "auto":
            optimizer = default_optimizer(self.fusion, self.encoders)
        if loss == "auto":
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if metrics == "auto":
            metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
        self._weights_in_training = None
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)
        self.optimizer.build(self.trainable_variables)  # what is saved untrained loads in full

    def compile_from_config(self, config):
        """Compiles as before saving; Keras leaves this to classes with a `compile` of their own."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def call(self, inputs, training=None):
        return self.head(self.fusion(self.encode(inputs, training=training), training=training))

    def encode(self, inputs, training=None):
        """Replaces tensors by features; features that are there already are handed through.

        Args:
            inputs, training: see `Call arguments` of the class.

        Returns:
            Dict of `image_tokens` (B, T, Di), `image_pooled` (B, Di), `image_mask` (B, T),
            `has_image` (B,) and likewise for text, as far as the fusion reads them.
        """
        return encode(self.encoders, self.fusion.uses, inputs, training)

    def fit(self, x=None, y=None, batch_size=None, epochs=1, verbose="auto", callbacks=None,
            validation_data=None, shuffle=True, class_weight=None, sample_weight=None,
            feature_cache=None, **kwargs):  # fmt: skip
        """Trains on raw examples, as `keras.Model.fit` does on tensors.

        Args:
            x: raw examples: a `tf.data.Dataset` of `({"image": …, "text": …}, label)` as
                `data.load` gives, a dict of columns, or a list of dicts. Tensors and features are
                taken as they are.
            y: labels when `x` is not a dataset: ints, or names from `class_names`.
            batch_size: int, the global batch size; defaults to 32. A dataset that comes batched
                keeps its batches.
            epochs, verbose, callbacks, class_weight, sample_weight: as in Keras.
            validation_data: `(x, y)`, `(x, y, sample_weight)` or a dataset, raw as `x`.
            shuffle: bool, a new order of all examples each epoch. A dataset that comes batched
                keeps its order unless `feature_cache` is used.
            feature_cache: a folder, `"memory"`, or a `training.FeatureCache`: each example goes
                through the frozen encoders once, ever, and training runs on their outputs, with
                the same result in a fraction of the time. `None` runs them in each epoch.
            **kwargs: further arguments of `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: `x`, `y` or `feature_cache` is not one of the above; `feature_cache` is
                given though no encoder is frozen; the labels do not fit `num_classes`; weights
                were frozen or unfrozen since `compile`.
        """
        if kwargs.pop("validation_split", 0.0):
            raise ValueError(
                "`validation_split` must be left at 0: it would cut off the last rows, whatever "
                "their classes. Pass `validation_data`; data.load splits by class."
            )
        self._check_compiled_weights()
        seed = int(np.random.randint(2**31))  # one order of examples, with or without a cache
        cache = FeatureCache.get(feature_cache)
        rest = {"batch_size": batch_size, "feature_cache": cache, "verbose": verbose}
        order = {"shuffle": shuffle, "seed": seed, "learn": True}
        prepared = inputs_of(self, x, y, sample_weight, **rest, **order)
        if validation_data is not None:
            single = isinstance(validation_data, tf.data.Dataset)
            given = (validation_data,) if single else validation_data
            checked = inputs_of(self, *given, **rest)
            parts = (checked["x"], checked["y"], checked["sample_weight"])
            validation_data = parts if checked["y"] is not None else checked["x"]
        return super().fit(
            **prepared, epochs=epochs, verbose=verbose, callbacks=callbacks,
            validation_data=validation_data, class_weight=class_weight, **kwargs,
        )  # fmt: skip

    def evaluate(
        self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None,
        feature_cache=None, **kwargs,
    ):  # fmt: skip
        """Loss and metrics on raw examples; arguments as `fit`'s and `keras.Model.evaluate`'s."""
        options = {"batch_size": batch_size, "feature_cache": feature_cache, "verbose": verbose}
        prepared = inputs_of(self, x, y, sample_weight, **options)
        del prepared["shuffle"]
        return super().evaluate(**prepared, verbose=verbose, **kwargs)

    def predict(self, x, batch_size=None, verbose="auto", feature_cache=None, **kwargs):
        """Logits of raw examples, with or without labels, in their order.

        Returns:
            A float32 array (number of examples, num_classes).
        """
        options = {"batch_size": batch_size, "feature_cache": feature_cache, "verbose": verbose}
        prepared = inputs_of(self, x, **options)
        return super().predict(prepared["x"], prepared["batch_size"], verbose=verbose, **kwargs)

    def export(self, filepath, overwrite=False):
        """Writes a SavedModel for TensorFlow Serving: bytes and strings in, labels out.

        See `tatl_keras.models.export.export` for signature, files and errors.
        """
        export(self, filepath, overwrite=overwrite)

    def save_to_preset(self, preset_dir):
        """Writes a small directory that refers to the frozen encoders by preset and digest.

        See `tatl_keras.models.preset.save_to_preset`; `zoo.from_preset` reads it.
        """
        save_to_preset(self, preset_dir)

    def get_config(self):
        return super().get_config() | {
            "image_encoder": keras.saving.serialize_keras_object(self.image_encoder),
            "text_encoder": keras.saving.serialize_keras_object(self.text_encoder),
            "fusion": keras.saving.serialize_keras_object(self.fusion),
            "preprocessor": keras.saving.serialize_keras_object(self.preprocessor),
            "num_classes": self.num_classes,
            "class_names": self.class_names,
        }

    @classmethod
    def from_config(cls, config):
        parts = ("image_encoder", "text_encoder", "fusion", "preprocessor")
        built = {part: keras.saving.deserialize_keras_object(config[part]) for part in parts}
        return cls(**(config | built))

    def _check_encoders(self):
        reads = [m for m in ("image", "text") if any(m in name for name in self.fusion.uses)]
        has = list(self.encoders)
        if reads != has:
            raise ValueError(
                f"`fusion` must read what the encoders give: {has}. Received: "
                f"fusion={self.fusion.name}, which reads {reads}"
            )

    def _check_compiled_weights(self):
        """Keras would train the old set of weights, or fail with a message of its internals."""
        weights = [id(variable) for variable in self.trainable_variables]
        if self._weights_in_training not in (None, weights):
            raise ValueError(
                "`compile` must be called again after freezing or unfreezing. Received: "
                f"{len(weights)} trainable weights, trained before with "
                f"{len(self._weights_in_training)}"
            )
        self._weights_in_training = weights
