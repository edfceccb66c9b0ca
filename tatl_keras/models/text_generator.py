"""What models that write have in common: teaching, testing and writing."""

import keras
import keras_hub
import numpy as np
import tensorflow as tf

from tatl_keras.data.epoch_order import EpochOrder
from tatl_keras.models import replica, samplers, writing_checks
from tatl_keras.models.checks import check_compiled_weights
from tatl_keras.models.distributed import DistributedModel
from tatl_keras.models.export_writer import export
from tatl_keras.models.features import encode
from tatl_keras.models.generation import generations, texts_written, write
from tatl_keras.models.naming_pictures import naming_pictures
from tatl_keras.models.pipeline import DEFAULT_BATCH_SIZE
from tatl_keras.models.progress import Progress
from tatl_keras.models.recipe import writing_optimizer
from tatl_keras.models.targets import numbered, source_batches, target_batches
from tatl_keras.models.token_accuracy import TokenAccuracy
from tatl_keras.models.token_crossentropy import TokenCrossentropy


class TextGenerator(DistributedModel):
    """An encoder and a decoder that writes a text about what the encoder made.

        memory = encoder(source)                                  (B, S, Dm), S tokens and a mask
        logits = decoder(token_ids, memory, mask)                 (B, T, V)

    `Captioner` writes about pictures, `Translator` about texts. `fit` teaches by the right words so
    far (teacher forcing); `generate` goes by the model's own.

    Args:
        encoders: dict from "image" or "text" to the encoder.
        decoder: a `Decoder`.
        backward_decoder: a further one, which learns to write from the last word to the first, or
            None.
        target: key of the texts to write in the examples, "text" or "target".
        preprocessor: a `data.Preprocessor` of the source.
        target_preprocessor: a `data.Preprocessor` of the target, with a WordPiece or SentencePiece
            tokenizer that knows where texts start and end.
        compile: bool, compile with the defaults of `compile`.

    Raises:
        ValueError: a part is of another kind, the tokenizer does not fit, or a decoder has fewer
            tokens than it, or fewer places than the target's `sequence_length` asks for.
    """

    _means = ("mean_with_sample_weight",)
    _parts: tuple = ()  # arguments of the constructor that a config holds serialised

    def __init__(
        self, encoders, decoder, *, backward_decoder=None, target, preprocessor,
        target_preprocessor, compile, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        ((self._source, encoder),) = encoders.items()
        setattr(self, f"{self._source}_encoder", encoder)
        self.decoder, self.backward_decoder = decoder, backward_decoder
        self.target = target
        held = {"preprocessor": preprocessor, "target_preprocessor": target_preprocessor}
        for name, value in held.items():
            object.__setattr__(self, name, value)  # they run on the host, past Keras's tracking
        object.__setattr__(self, "_writers", {})
        writing_checks.check_parts({name: getattr(self, name) for name in self._parts})
        self.build()
        if compile:
            self.compile()

    @property
    def encoders(self):
        """Dict from "image" or "text" to the encoder."""
        return {self._source: getattr(self, f"{self._source}_encoder")}

    @property
    def bidirectional(self):
        """Whether there is a decoder for each direction."""
        return self.backward_decoder is not None

    @property
    def uses(self):
        """Names of the encoder's features that are read."""
        return tuple(f"{self._source}_{part}" for part in ("tokens", "mask"))

    def build(self, input_shape=None):
        if not self.built:
            shape = (None, None, self.encoders[self._source].output_dim)
            for decoder in self._decoders().values():
                if not decoder.built:
                    decoder.build((None, None), shape)
            self.built = True

    def compile(self, optimizer="auto", loss="auto", *, weighted_metrics="auto", **kwargs):
        """Configures training.

        Args:
            optimizer: "auto" is Adam with a warm-up and an inverse square root schedule, whose
                largest rate is 1e-3, or 1e-4 where a pretrained encoder learns, and gradients of a
                norm of at most 1.
            loss: "auto" is `TokenCrossentropy`, with label smoothing 0.1.
            weighted_metrics: "auto" is the share of right next tokens, and the perplexity.
            **kwargs: as in `keras.Model.compile`.
        """
        if optimizer == "auto":
            optimizer = writing_optimizer(self.encoders)
        if loss == "auto":
            loss = TokenCrossentropy()
        if weighted_metrics == "auto":
            weighted_metrics = [
                TokenAccuracy(),
                keras_hub.metrics.Perplexity(from_logits=True, name="perplexity"),
            ]
        kwargs.setdefault("jit_compile", False)  # on CPUs it costs more than it gains
        self._weights_in_training = None
        self._writers.clear()  # made as it was compiled before
        super().compile(optimizer=optimizer, loss=loss, weighted_metrics=weighted_metrics, **kwargs)
        self.optimizer.build(self.trainable_variables)

    def compile_from_config(self, config):
        """Compiles as before saving; Keras leaves this to classes with a `compile` of their own."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def encode(self, inputs, training=None):
        """Replaces tensors by features; features that are there already are handed through."""
        return encode(self.encoders, self.uses, inputs, training)

    def memory(self, features):
        """`(tokens (B, S, Dm), mask (B, S))` of the encoder's features."""
        return tuple(features[name] for name in self.uses)

    def call(self, inputs, training=None):
        source = inputs
        if "source_ids" in inputs:  # `token_ids` are those of the target
            source = {**inputs, "token_ids": inputs["source_ids"]}
        memory = self.memory(self.encode(source, training=training))
        ids = inputs["token_ids"]
        if not self.bidirectional:
            return self.decoder(ids, *memory, training=training)
        pairs = enumerate(self._decoders().values())
        both = [decoder(ids[:, i], *memory, training=training) for i, decoder in pairs]
        return keras.ops.stack(both, axis=1)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = keras.Model.compute_loss(self, x, y, y_pred, sample_weight, training)
        count = None if sample_weight is None else tf.reduce_sum(sample_weight)
        return self.of_whole_batch(loss, y_pred, count)

    @naming_pictures
    def fit(self, x=None, y=None, batch_size=None, epochs=1, verbose="auto", callbacks=None,
            validation_data=None, shuffle=True, feature_cache=None, **kwargs):  # fmt: skip
        """Teaches the decoder to write the examples' texts.

        Args:
            x: raw examples with source and target (see the class): a `tf.data.Dataset`, whose
                labels, if any, are left aside, a dict of columns, or a list of dicts.
            y: None; the texts to write are part of `x`.
            batch_size: int, the global batch size; defaults to 32.
            epochs, verbose, callbacks: as in Keras.
            validation_data: raw examples as `x`.
            shuffle: bool, a new order of all examples each epoch.
            feature_cache: a folder, `"memory"`, or a `training.FeatureCache`: each example goes
                through the frozen encoder once, ever. None runs it in each epoch.
            **kwargs: further arguments of `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: `x` is not as it must be, has no text to learn, or `y` is given; the
                encoder is not frozen though `feature_cache` is given; weights were frozen or
                unfrozen since `compile`.
        """
        writing_checks.check_no_labels(y)
        check_compiled_weights(self)
        order = EpochOrder(self._agree(int(np.random.randint(2**31))))
        rest = {"batch_size": batch_size, "feature_cache": feature_cache, "verbose": verbose}
        ids = getattr(x, "ids", None)
        x = target_batches(self, x, shuffle=shuffle, seed=order, learn=True, **rest)
        if validation_data is not None:
            validation_data = target_batches(self, validation_data, **rest)
        batching = (batch_size or DEFAULT_BATCH_SIZE, ids, shuffle)
        object.__setattr__(self, "progress", Progress(order, *batching, x, callbacks))
        with self.progress:
            return super().fit(
                x, epochs=epochs, verbose=verbose, callbacks=self.progress.callbacks, shuffle=False,
                validation_data=validation_data, **kwargs,
            )  # fmt: skip

    @naming_pictures
    def evaluate(self, x=None, y=None, batch_size=None, verbose="auto", feature_cache=None,
                 **kwargs):  # fmt: skip
        """Loss and metrics of the right words, given the right words so far; as `fit`'s."""
        writing_checks.check_no_labels(y)
        rest = {"batch_size": batch_size, "feature_cache": feature_cache, "verbose": verbose}
        return super().evaluate(target_batches(self, x, **rest), verbose=verbose, **kwargs)

    @naming_pictures
    def generate(self, x, *, sampler="greedy", max_length=None, batch_size=None,
                 feature_cache=None, return_details=False, verbose=0):  # fmt: skip
        """Writes texts.

        Args:
            x: raw sources: a data set, a dict of columns or a list of dicts, as `fit` takes them
                but without targets; or a dict of features.
            sampler: "greedy", "beam", "random", or one of `GreedySampler`, `BeamSampler`,
                `RandomSampler`.
            max_length: int, most tokens of a text, the end token included. Defaults to the
                targets' `sequence_length` less the start token.
            batch_size: int, defaults to 32.
            feature_cache: as in `fit`.
            return_details: bool, give `Generation`s in place of texts, with log-probabilities,
                pieces and attention.
            verbose: as in `keras.Model.predict`.

        Returns:
            List of str, one a row, "" where there is nothing to write about; or of `Generation`s.
            Where the sampler returns several texts, a list of lists.

        Raises:
            ValueError: `x` has no source, the vocabulary is not learned yet, or `max_length` is
                more than the decoder has places for.
        """
        if self.target_preprocessor.needs_vocabulary:
            raise ValueError(
                "`generate` must come after the vocabulary is learned. Received: a model without "
                "one. Call `fit`, which learns it from the texts, or take a tokenizer that has one."
            )
        sampler = samplers.get(sampler)
        length = self.check_length(max_length)
        batches = source_batches(self, x, batch_size, feature_cache, verbose)
        if batches.cardinality() == 0:
            return []
        key = (_identity(sampler), length, return_details)
        self.predict_function = self._writers.get(key)
        object.__setattr__(self, "_writing", (sampler, length, return_details))
        try:
            found = super().predict(numbered(batches), verbose=verbose)
        finally:
            self._writers[key], self.predict_function = self.predict_function, None
            object.__setattr__(self, "_writing", None)
        if return_details:
            grid = getattr(self.encoders[self._source], "grid", None)
            rows = generations(self, found, grid)
        else:
            rows = [[t.decode() for t in row] for row in texts_written(self, found).numpy()]
        return rows if sampler.num_return > 1 else [row[0] for row in rows]

    export = export  # a SavedModel for TensorFlow Serving: pictures or texts in, texts out

    def predict_step(self, data):
        if getattr(self, "_writing", None) is None:
            return super().predict_step(data)
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return replica.on_rows(self._write, x)

    def get_config(self):
        parts = {name: getattr(self, name) for name in self._parts}
        return super().get_config() | {
            name: keras.saving.serialize_keras_object(part) for name, part in parts.items()
        }

    @classmethod
    def from_config(cls, config):
        built = {name: keras.saving.deserialize_keras_object(config[name]) for name in cls._parts}
        return cls(**(config | built))

    def _write(self, x):
        features = self.encode(x, training=False)
        return write(self, features, *self._writing, first_row=tf.reduce_min(x["row"]))

    def _decoders(self):
        backward = {"backward_decoder": self.backward_decoder} if self.bidirectional else {}
        return {"decoder": self.decoder} | backward

    def check_vocabulary(self):
        """Raises a ValueError where a tokenizer has more tokens than what reads or writes them."""
        writing_checks.check_vocabularies({name: getattr(self, name) for name in self._parts})

    def check_length(self, max_length=None):
        """The most tokens of a text, or a ValueError."""
        if max_length is None:
            max_length = self.target_preprocessor.sequence_length - 1
        return writing_checks.check_length(max_length, self.decoder.max_length)


def _identity(sampler):
    """What tells samplers apart: class and config, or the sampler itself where it is a user's."""
    ours = type(sampler) in samplers.registry.NAMES.values()
    return (type(sampler), repr(sampler.get_config())) if ours else sampler
