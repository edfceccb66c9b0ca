"""A Transformer as text encoder, of this library's own blocks."""

import keras
from keras import ops

from tatl_keras.encoders.text_encoder import TextEncoder
from tatl_keras.layers import (
    MaskedAveragePooling,
    SinePositionEncoding,
    TransformerEncoderBlock,
)
from tatl_keras.layers.checks import check_count, check_dim, check_rate
from tatl_keras.layers.masking import zero_masked
from tatl_keras.layers.seeds import derive_seed


@keras.saving.register_keras_serializable(package="tatl_keras")
class TextTransformer(TextEncoder):
    """Reads a text with Transformer blocks, trained from scratch.

        X_0 = dropout(sqrt(D) E[token_ids] + P)                    (B, L, D)
        X_n = block_n(X_{n-1}),  n = 1 … num_layers                layers.TransformerEncoderBlock
        tokens = norm(X_N), 0 in masked places                     (B, L, D)
        pooled = sum_t mask_t · tokens_t / max(1, sum_t mask_t)    (B, D)
        mask   = padding_mask                                      (B, L), int32

    P are the sines and cosines of `layers.SinePositionEncoding`, and the blocks are pre-norm, which
    trains without care for the first steps. Scores of attention are made whole, which suits texts
    of some hundred tokens. For pretrained weights see `TransformerTextEncoder`, which runs a
    KerasHub backbone.

    Shape letters: B batch, L text length, D = `hidden_dim`. Ids in masked places have no effect at
    all, and a text with nothing unmasked gives zeros. Tokens and pooled are float32 under every
    dtype policy.

    Freezing: see `Encoder`; a block is a Transformer block, and the last norm follows them. E
    learns only where everything does.

    Args:
        vocabulary_size: int ≥ 1, number of token ids. Defaults to 8192.
        hidden_dim: D, int ≥ 1, a multiple of `num_heads`. Defaults to 256.
        num_layers: int ≥ 1, number of blocks. Defaults to 2.
        num_heads: int ≥ 1. Defaults to 4.
        intermediate_dim: int ≥ 1, channels inside each feed-forward network. Defaults to 4 D.
        dropout: float in [0, 1), of X_0, of each branch and of the attention scores, in training.
            Defaults to 0.1.
        max_sequence_length: int ≥ 1, the largest L, or None where there is no limit. Positions
            need none, but those beyond every text of the training were never learned from.
        frozen: bool, whether no weight learns. Defaults to False.
        unfrozen_last_n: int or None, how many blocks at the end learn when not frozen.
        preset: string or None, for the record.
        seed: int or None, decides the first weights and the dropout.

    Call arguments:
        inputs: dict of "token_ids" (B, L), integers below `vocabulary_size`, and "padding_mask"
            (B, L), integers or booleans, nonzero = real. Further entries are ignored.
        training: bool or None; without effect while frozen.

    Returns:
        A dict of "tokens" (B, L, D) and "pooled" (B, D), float32, and "mask" (B, L), int32.

    Raises:
        ValueError: a size is below 1, `num_heads` does not divide `hidden_dim`, `dropout` is
            outside [0, 1), the inputs are not two equal (B, L) shapes, or L exceeds
            `max_sequence_length`.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import encoders
    >>> encoder = encoders.TextTransformer(11, hidden_dim=6, num_layers=1, num_heads=2, seed=1)
    >>> features = encoder({
    ...     "token_ids": np.array([[4, 7, 9], [4, 0, 0]]),
    ...     "padding_mask": np.array([[1, 1, 1], [1, 0, 0]]),
    ... })
    >>> {name: tuple(value.shape) for name, value in features.items()}
    {'tokens': (2, 3, 6), 'pooled': (2, 6), 'mask': (2, 3)}

    Reference: Vaswani et al. 2017, "Attention Is All You Need", section 3,
    https://arxiv.org/abs/1706.03762; Xiong et al. 2020, "On Layer Normalization in the Transformer
    Architecture", https://arxiv.org/abs/2002.04745 (pre-norm).
    """

    def __init__(
        self,
        vocabulary_size=8192,
        *,
        hidden_dim=256,
        num_layers=2,
        num_heads=4,
        intermediate_dim=None,
        dropout=0.1,
        max_sequence_length=None,
        frozen=False,
        unfrozen_last_n=None,
        preset=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(frozen=frozen, unfrozen_last_n=unfrozen_last_n, preset=preset, **kwargs)
        self._vocabulary_size = check_dim("vocabulary_size", vocabulary_size)
        self.hidden_dim = check_dim("hidden_dim", hidden_dim)
        self.num_layers = check_count("num_layers", num_layers)
        self.num_heads = check_count("num_heads", num_heads)
        self.intermediate_dim = (
            None if intermediate_dim is None else check_dim("intermediate_dim", intermediate_dim)
        )
        self.dropout = check_rate("dropout", dropout)
        self._max_sequence_length = (
            None
            if max_sequence_length is None
            else check_count("max_sequence_length", max_sequence_length)
        )
        if self.hidden_dim % self.num_heads:
            raise ValueError(
                "`num_heads` must divide `hidden_dim`. Received: "
                f"num_heads={num_heads}, hidden_dim={hidden_dim}. Each head gets an equal part."
            )
        self.seed = seed
        self._make_layers()
        self.apply_state()

    @property
    def vocabulary_size(self):
        return self._vocabulary_size

    @property
    def max_sequence_length(self):
        return self._max_sequence_length

    @property
    def output_dim(self):
        return self.hidden_dim

    def call(self, inputs, training=None):
        token_ids, mask = self._read(inputs)
        training = False if self.frozen else training
        embedded = self.token_embedding(token_ids) * self.hidden_dim**0.5
        x = self._dropout(embedded + self.position_encoding(embedded), training=training)
        for block in self.blocks:
            x = block(x, padding_mask=mask, training=training)
        tokens = zero_masked(ops.cast(self.output_norm(x), "float32"), mask)
        if self.frozen:
            tokens = ops.stop_gradient(tokens)
        return {"tokens": tokens, "pooled": self._average(tokens, mask=mask), "mask": mask}

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "dropout": self.dropout,
            "max_sequence_length": self.max_sequence_length,
            "seed": self.seed,
        }

    def _make_layers(self):
        named = {"dtype": self.dtype_policy}
        self.token_embedding = keras.layers.Embedding(
            self.vocabulary_size,
            self.hidden_dim,
            embeddings_initializer=keras.initializers.RandomNormal(
                stddev=self.hidden_dim**-0.5, seed=derive_seed(self.seed, 0)
            ),
            name="token_embedding",
            **named,
        )
        self.position_encoding = SinePositionEncoding(name="position_encoding", **named)
        self._dropout = keras.layers.Dropout(
            self.dropout, seed=derive_seed(self.seed, 1), name="dropout", **named
        )
        self.blocks = [
            TransformerEncoderBlock(
                self.intermediate_dim or 4 * self.hidden_dim,
                self.num_heads,
                dropout=self.dropout,
                activation="gelu",
                normalize_first=True,
                implementation="dense",
                seed=derive_seed(self.seed, 2 + index),
                name=f"block_{index}",
                **named,
            )
            for index in range(self.num_layers)
        ]
        self.output_norm = keras.layers.LayerNormalization(name="output_norm", **named)
        self._average = MaskedAveragePooling(dtype="float32")
        self.token_embedding.build((None, None))
        for layer in (*self.blocks, self.output_norm):
            layer.build((None, None, self.hidden_dim))

    def _split_blocks(self):
        return [[block] for block in self.blocks], [self.output_norm]

    def _fingerprint(self):
        return [self.vocabulary_size, self.hidden_dim, self.num_layers, self.num_heads]
