"""The model of the zoo: frozen encoders, a fusion, a head."""

import keras
import numpy as np

from tatl_keras import fusion as fusions
from tatl_keras.data.epoch_order import EpochOrder
from tatl_keras.features import FeatureCache
from tatl_keras.models import static
from tatl_keras.models.checks import check_compiled_weights, check_encoders, reads
from tatl_keras.models.described_classes import DescribedClasses
from tatl_keras.models.distributed import DistributedModel
from tatl_keras.models.evidence import present
from tatl_keras.models.explanation.explain import explain
from tatl_keras.models.export import export
from tatl_keras.models.features import encode, feature_shapes, inputs_of, validation_inputs
from tatl_keras.models.few_shot_head import CLASS_TEXT_HEADS
from tatl_keras.models.naming_pictures import naming_pictures
from tatl_keras.models.pipeline import DEFAULT_BATCH_SIZE
from tatl_keras.models.preset import save_to_preset
from tatl_keras.models.prior import ClassPrior
from tatl_keras.models.progress import Progress
from tatl_keras.models.recipe import default_optimizer

_PARTS = ("image_encoder", "text_encoder", "fusion", "head", "modality_dropout", "preprocessor")


@keras.saving.register_keras_serializable(package="tatl_keras")
class TextAssistedClassifier(DescribedClasses, DistributedModel):
    """Classifies pictures with the help of their text, training only what is not frozen.

        features = image_encoder(images), text_encoder(token_ids, padding_mask)
        fused    = fusion(features)                       (B, D)
        logits   = fused @ W + b                          (B, num_classes), float32

    W starts at zero, so the untrained model gives every class the same probability. A row without
    picture and text gets the frequencies of the classes that were learned from.

    Shape letters: B batch, H, W picture, L text length, D channels.

    Args:
        image_encoder: an encoder layer of `tatl_keras.encoders`, or `None` for text alone.
        text_encoder: likewise, or `None` for pictures alone.
        fusion: a fusion layer, or a name that `tatl_keras.fusion.get` knows. Defaults to "concat".
        num_classes: int ≥ 2.
        head: a layer from the fused vector (B, D) to logits (B, num_classes), or `None` for the
            fusion's own, W and b of the formula.
        modality_dropout: fraction of the rows with picture and text that lose one of them at each
            step of training, in [0, 1), or a `fusion.ModalityDropout`.
        preprocessor: a `tatl_keras.data.Preprocessor`, or `None` when the model is fed tensors.
        class_names: list of `num_classes` strings, or `None` to take them from the first data set
            `fit` sees.
        class_texts: what the classes are called or look like: "names" for the class names,
            "prompts" for the `data.prompt_ensemble` of them, or a dict from class name or label to
            a text or a list of texts. A linear head of concatenated vectors starts with them
            (nearest class text), and `fit` and `training.solve_head` take them for further
            examples without a picture; a `ClassTextHead` is made of them, by default of "names".
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

    text_in_training = False  # whether texts are read in training and nowhere else

    def __init__(
        self,
        image_encoder=None,
        text_encoder=None,
        fusion="concat",
        num_classes=None,
        *,
        head=None,
        modality_dropout=0.0,
        preprocessor=None,
        class_names=None,
        class_texts=None,
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
        given = {"image": image_encoder, "text": text_encoder}
        check_encoders(self.fusion, given, head, self.text_in_training)
        self.head = head
        self.prior = ClassPrior(self.num_classes, dtype="float32", name="prior")
        if not isinstance(modality_dropout, keras.layers.Layer):
            modality_dropout = fusions.ModalityDropout(modality_dropout, name="modality_dropout")
        self.modality_dropout = modality_dropout
        self._keep(preprocessor=preprocessor, _class_names=None)  # it runs on the host
        self._keep(_labelled_texts=[], _waiting_texts=None)
        if class_names is not None:
            self.class_names = class_names
        self.build()
        if isinstance(head, CLASS_TEXT_HEADS) and class_texts is None and text_encoder is not None:
            class_texts = "names"
        if class_texts is not None:
            self.class_texts = class_texts
        if compile:
            self.compile()

    def build(self, input_shape=None):
        if not self.built:
            shapes = feature_shapes(self.encoders, self.fusion.uses)
            if not self.fusion.built:  # one that was deserialised is
                self.fusion.build(shapes)
            if self.head is None:
                # A layer of a user's own need not be a `Fusion`.
                make_head = getattr(self.fusion, "make_head", fusions.linear_head)
                self.head = make_head(self.num_classes)
            if not self.head.built:
                self.head.build(self.fusion.compute_output_shape(shapes))
            self.built = True

    @property
    def encoders(self):
        """Dict from "image", "text" or both to the encoder, as far as the fusion reads them."""
        return {modality: getattr(self, f"{modality}_encoder") for modality in reads(self.fusion)}

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
        kwargs |= static.metrics_of(self, metrics, kwargs)
        super().compile(optimizer=optimizer, loss=loss, **kwargs)
        self.optimizer.build(self.trainable_variables)  # what is saved untrained loads in full

    def compile_from_config(self, config):
        """Compiles as before saving; Keras leaves this to classes with a `compile` of their own."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def call(self, inputs, training=None):
        features = self.encode(inputs, training=training)
        features = self.modality_dropout(features, training=training)
        logits = self.head(self.fusion(features, training=training))
        known = present(features)
        return logits if known is None else self.prior(logits, known)

    def train_step(self, data):
        _, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        self.prior.count(labels, weights)
        return super().train_step(data)

    def encode(self, inputs, training=None):
        """Replaces tensors by features; features that are there already are handed through.

        Args:
            inputs, training: see `Call arguments` of the class.

        Returns:
            Dict of `image_tokens` (B, T, Di), `image_pooled` (B, Di), `image_mask` (B, T),
            `has_image` (B,) and likewise for text, as far as the fusion reads them.
        """
        return encode(self.encoders, self.fusion.uses, inputs, training)

    @naming_pictures
    def fit(self, x=None, y=None, batch_size=None, epochs=1, verbose="auto", callbacks=None,
            validation_data=None, shuffle=True, class_weight=None, sample_weight=None,
            feature_cache=None, class_texts=None, **kwargs):  # fmt: skip
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
            class_texts: as the class takes them; `None` for those the model has. With a linear
                head they are further examples, which count in the metrics too.
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
        check_compiled_weights(self)
        if class_texts is not None:
            self.class_texts = class_texts
        # One order of examples, with or without a cache, for all workers.
        order = EpochOrder(self._agree(int(np.random.randint(2**31))))
        cache = FeatureCache.get(feature_cache)
        rest = {"batch_size": batch_size, "feature_cache": cache, "verbose": verbose}
        learning = {"shuffle": shuffle, "seed": order, "learn": True, "describe": True}
        prepared = inputs_of(self, x, y, sample_weight, **rest, **learning)
        if validation_data is not None:
            validation_data = validation_inputs(self, validation_data, **rest)
        batching = (batch_size or DEFAULT_BATCH_SIZE, getattr(x, "ids", None), shuffle)
        self._keep(progress=Progress(order, *batching, prepared["x"], callbacks))
        with self.progress:
            return super().fit(
                **prepared, epochs=epochs, verbose=verbose, callbacks=self.progress.callbacks,
                validation_data=validation_data, class_weight=class_weight, **kwargs,
            )  # fmt: skip

    @naming_pictures
    def evaluate(self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None,
                 feature_cache=None, **kwargs):  # fmt: skip
        """Loss and metrics on raw examples; arguments as `fit`'s and `keras.Model.evaluate`'s."""
        options = {"batch_size": batch_size, "feature_cache": feature_cache, "verbose": verbose}
        prepared = inputs_of(self, x, y, sample_weight, **options)
        del prepared["shuffle"], prepared["rows"]
        return super().evaluate(**prepared, verbose=verbose, **kwargs)

    @naming_pictures
    def predict(self, x, batch_size=None, verbose="auto", feature_cache=None, **kwargs):
        """Logits of raw examples, with or without labels, in their order.

        Returns:
            A float32 array (number of examples, num_classes).
        """
        options = {"batch_size": batch_size, "feature_cache": feature_cache, "verbose": verbose}
        x, size, rows = map(inputs_of(self, x, **options).get, ("x", "batch_size", "rows"))
        return super().predict(x, size, verbose=verbose, **kwargs)[:rows]

    explain = explain  # which regions and which words decided
    export = export  # a SavedModel for TensorFlow Serving: bytes and strings in, labels out

    def save_to_preset(self, preset_dir):
        """Writes a small directory that refers to the frozen encoders by preset and digest.

        See `tatl_keras.models.preset.save_to_preset`; `zoo.from_preset` reads it.
        """
        save_to_preset(self, preset_dir)

    def get_config(self):
        config = super().get_config()
        for name in _PARTS:
            config[name] = keras.saving.serialize_keras_object(getattr(self, name))
        config["num_classes"], config["class_names"] = self.num_classes, self.class_names
        return config | {"class_texts": self._waiting_texts or self.labelled_texts}

    @classmethod
    def from_config(cls, config):
        built = {name: keras.saving.deserialize_keras_object(config[name]) for name in _PARTS}
        texts = config["class_texts"]  # the head's weights know them already
        model = cls(**(config | built | {"class_texts": None}))
        known = isinstance(texts, list)
        model._keep(
            _labelled_texts=[tuple(pair) for pair in texts] if known else [],
            _waiting_texts=None if known else texts,
        )
        return model
