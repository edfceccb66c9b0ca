"""A bidirectional LSTM as text encoder."""

import keras
from keras import ops

from tatl_keras.encoders.text_encoder import TextEncoder
from tatl_keras.layers.checks import check_dim, check_rate
from tatl_keras.layers.seeds import derive_seed


@keras.saving.register_keras_serializable(package="tatl_keras")
class LSTMTextEncoder(TextEncoder):
    """Reads a text forwards and backwards with two LSTMs, trained from scratch.

        x = E[token_ids]                                          (B, L, embedding_dim)
        f = LSTM_forward(x),  b = LSTM_backward(x)                (B, L, units) each
        tokens = [f, b], 0 in masked places                       (B, L, 2·units)
        pooled = [f at the last real token, b at the first]       (B, 2·units)
        mask   = padding_mask                                     (B, L), int32

    Shape letters: B batch, L text length. Masked places are skipped: their ids have no effect at
    all, and a text with nothing unmasked gives zeros. Padding stands on the right. Tokens and
    pooled are float32 under every dtype policy.

    Freezing: see `Encoder`. There are two blocks, the embedding E and the pair of LSTMs;
    `unfrozen_last_n=1` keeps a pretrained E as it is and trains the LSTMs.

    Args:
        vocabulary_size: int ≥ 1, number of token ids. Defaults to 8192.
        embedding_dim: int ≥ 1, channels of E. Defaults to 128.
        units: int ≥ 1, channels of each LSTM. Defaults to 128.
        dropout: float in [0, 1), dropped from E's output in training. Defaults to 0.0.
        token_embedding: array (vocabulary_size, embedding_dim) of first values of E, or None for
            random ones. The two sizes are taken from it. Not part of the config: saved models
            carry E with their weights.
        frozen: bool, whether no weight learns. Defaults to False.
        unfrozen_last_n: int or None, how many of the two blocks learn when not frozen.
        preset: string or None, where E came from, for the record.
        seed: int or None, decides the first weights and the dropout.

    Call arguments:
        inputs: dict of "token_ids" (B, L), integers below `vocabulary_size`, and "padding_mask"
            (B, L), integers or booleans, nonzero = real. Further entries are ignored.
        training: bool or None; without effect while frozen.

    Returns:
        A dict of "tokens" (B, L, 2·units) and "pooled" (B, 2·units), float32, and "mask" (B, L),
        int32.

    Raises:
        ValueError: a size is below 1, `dropout` outside [0, 1), `token_embedding` not a matrix,
            or the inputs are not two equal (B, L) shapes.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import encoders
    >>> encoder = encoders.LSTMTextEncoder(vocabulary_size=11, embedding_dim=5, units=3, seed=1)
    >>> features = encoder({
    ...     "token_ids": np.array([[4, 7, 9], [4, 0, 0]]),
    ...     "padding_mask": np.array([[1, 1, 1], [1, 0, 0]]),
    ... })
    >>> {name: tuple(value.shape) for name, value in features.items()}
    {'tokens': (2, 3, 6), 'pooled': (2, 6), 'mask': (2, 3)}

    Reference: Hochreiter and Schmidhuber 1997, "Long Short-Term Memory",
    https://doi.org/10.1162/neco.1997.9.8.1735; Graves and Schmidhuber 2005, section 2,
    https://doi.org/10.1016/j.neunet.2005.06.042.
    """

    def __init__(
        self,
        vocabulary_size=8192,
        *,
        embedding_dim=128,
        units=128,
        dropout=0.0,
        token_embedding=None,
        frozen=False,
        unfrozen_last_n=None,
        preset=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(frozen=frozen, unfrozen_last_n=unfrozen_last_n, preset=preset, **kwargs)
        if token_embedding is not None:
            token_embedding = ops.convert_to_numpy(token_embedding)
            if token_embedding.ndim != 2:
                raise ValueError(
                    "`token_embedding` must be a matrix (vocabulary_size, embedding_dim). "
                    f"Received: token_embedding.shape={token_embedding.shape}. "
                    "Pass `backbone.token_embedding.embeddings` of a text backbone."
                )
            vocabulary_size, embedding_dim = token_embedding.shape
        self._vocabulary_size = check_dim("vocabulary_size", vocabulary_size)
        self.embedding_dim = check_dim("embedding_dim", embedding_dim)
        self.units = check_dim("units", units)
        self.dropout = check_rate("dropout", dropout)
        self.seed = seed
        self.token_embedding = keras.layers.Embedding(
            self.vocabulary_size,
            self.embedding_dim,
            embeddings_initializer=keras.initializers.RandomUniform(seed=derive_seed(seed, 0)),
            dtype=self.dtype_policy,
            name="token_embedding",
        )
        self._dropout = keras.layers.Dropout(
            self.dropout, seed=derive_seed(seed, 1), dtype=self.dtype_policy, name="dropout"
        )
        self.forward_lstm = self._lstm("forward_lstm", 2, go_backwards=False)
        self.backward_lstm = self._lstm("backward_lstm", 4, go_backwards=True)
        self._build_layers()
        if token_embedding is not None:
            self.token_embedding.embeddings.assign(token_embedding)
        self.apply_state()

    @property
    def vocabulary_size(self):
        return self._vocabulary_size

    @property
    def output_dim(self):
        return 2 * self.units

    def call(self, inputs, training=None):
        token_ids, mask = self._read(inputs)
        training = False if self.frozen else training
        present = ops.any(ops.cast(mask, "bool"), axis=1, keepdims=True)
        # cuDNN refuses sequences without a real token: those read one and are zeroed at the end.
        first = ops.arange(ops.shape(mask)[1]) == 0
        read = ops.logical_or(ops.cast(mask, "bool"), ops.logical_and(~present, first))
        embedded = self._dropout(self.token_embedding(token_ids), training=training)
        forward, last, _ = self.forward_lstm(embedded, mask=read, training=training)
        backward, start, _ = self.backward_lstm(embedded, mask=read, training=training)
        tokens = ops.concatenate([forward, ops.flip(backward, axis=1)], axis=-1)
        pooled = ops.concatenate([last, start], axis=-1)
        tokens = ops.where(ops.cast(mask, "bool")[..., None], ops.cast(tokens, "float32"), 0.0)
        pooled = ops.where(present, ops.cast(pooled, "float32"), 0.0)
        if self.frozen:
            tokens, pooled = ops.stop_gradient(tokens), ops.stop_gradient(pooled)
        return {"tokens": tokens, "pooled": pooled, "mask": mask}

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "units": self.units,
            "dropout": self.dropout,
            "seed": self.seed,
        }

    def _lstm(self, name, index, go_backwards):
        return keras.layers.LSTM(
            self.units,
            kernel_initializer=keras.initializers.GlorotUniform(derive_seed(self.seed, index)),
            recurrent_initializer=keras.initializers.Orthogonal(
                seed=derive_seed(self.seed, index + 1)
            ),
            return_sequences=True,
            return_state=True,
            go_backwards=go_backwards,
            dtype=self.dtype_policy,
            name=name,
        )

    def _build_layers(self):
        self.token_embedding.build((None, None))
        for lstm in (self.forward_lstm, self.backward_lstm):
            lstm.build((None, None, self.embedding_dim))

    def _split_blocks(self):
        return [[self.token_embedding], [self.forward_lstm, self.backward_lstm]], []

    def _fingerprint(self):
        return [self.vocabulary_size, self.embedding_dim, self.units]
