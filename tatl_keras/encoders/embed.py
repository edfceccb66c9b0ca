"""A bag of word vectors as text encoder."""

import keras
from keras import ops

from tatl_keras.encoders.text_encoder import TextEncoder
from tatl_keras.layers import MaskedAveragePooling
from tatl_keras.layers.checks import check_dim
from tatl_keras.layers.seeds import derive_seed


@keras.saving.register_keras_serializable(package="tatl_keras")
class BagOfEmbeddings(TextEncoder):
    """Looks up a learned vector per token and averages: the order of the words is lost.

        tokens = E[token_ids]                                      (B, L, D)
        pooled = sum_t mask_t · tokens_t / max(1, sum_t mask_t)    (B, D)
        mask   = padding_mask                                      (B, L), int32

    Shape letters: B batch, L text length, D = embedding_dim. A text with nothing unmasked gets a
    zero vector. Tokens and pooled are float32 under every dtype policy. Freezing: see `Encoder`;
    the embedding is the only block.

    Args:
        vocabulary_size: int ≥ 1, number of token ids. Defaults to 8192.
        embedding_dim: int ≥ 1, D. Defaults to 128.
        frozen: bool, whether no weight learns. Defaults to False.
        unfrozen_last_n: None or 1; both mean that E learns when not frozen.
        preset: string or None, for the record.
        seed: int or None, decides the first values of E.

    Call arguments:
        inputs: dict of "token_ids" (B, L), integers below `vocabulary_size`, and "padding_mask"
            (B, L), integers or booleans, nonzero = real. Further entries are ignored.
        training: bool or None; without effect.

    Returns:
        A dict of "tokens" (B, L, D) and "pooled" (B, D), float32, and "mask" (B, L), int32.

    Raises:
        ValueError: a size is below 1, or the inputs are not two equal (B, L) shapes.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import encoders
    >>> encoder = encoders.BagOfEmbeddings(vocabulary_size=11, embedding_dim=5, seed=1)
    >>> features = encoder({
    ...     "token_ids": np.array([[4, 7, 9], [4, 0, 0]]),
    ...     "padding_mask": np.array([[1, 1, 1], [1, 0, 0]]),
    ... })
    >>> {name: tuple(value.shape) for name, value in features.items()}
    {'tokens': (2, 3, 5), 'pooled': (2, 5), 'mask': (2, 3)}

    Reference: Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification", section 2,
    https://arxiv.org/abs/1607.01759.
    """

    def __init__(
        self,
        vocabulary_size=8192,
        *,
        embedding_dim=128,
        frozen=False,
        unfrozen_last_n=None,
        preset=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(frozen=frozen, unfrozen_last_n=unfrozen_last_n, preset=preset, **kwargs)
        self._vocabulary_size = check_dim("vocabulary_size", vocabulary_size)
        self.embedding_dim = check_dim("embedding_dim", embedding_dim)
        self.seed = seed
        self.token_embedding = keras.layers.Embedding(
            self.vocabulary_size,
            self.embedding_dim,
            embeddings_initializer=keras.initializers.RandomUniform(seed=derive_seed(seed, 0)),
            dtype=self.dtype_policy,
            name="token_embedding",
        )
        self.token_embedding.build((None, None))
        self._average = MaskedAveragePooling(dtype="float32")
        self.apply_state()

    @property
    def vocabulary_size(self):
        return self._vocabulary_size

    @property
    def output_dim(self):
        return self.embedding_dim

    def call(self, inputs, training=None):
        token_ids, mask = self._read(inputs)
        tokens = ops.cast(self.token_embedding(token_ids), "float32")
        if self.frozen:
            tokens = ops.stop_gradient(tokens)
        return {"tokens": tokens, "pooled": self._average(tokens, mask=mask), "mask": mask}

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "seed": self.seed,
        }

    def _split_blocks(self):
        return [[self.token_embedding]], []

    def _fingerprint(self):
        return [self.vocabulary_size, self.embedding_dim]
