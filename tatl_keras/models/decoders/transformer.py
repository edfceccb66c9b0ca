"""A Transformer that writes."""

import keras
from keras import ops

from tatl_keras.layers import PositionEmbedding, TransformerDecoderBlock
from tatl_keras.layers.checks import check_count, check_dim, check_rate
from tatl_keras.layers.seeds import derive_seed
from tatl_keras.models.decoders.base import Decoder


@keras.saving.register_keras_serializable(package="tatl_keras")
class TransformerDecoder(Decoder):
    """Writes with blocks of causal self-attention and attention to the memory.

        M = norm(memory) W_M                                    (B, S, D)
        X_0 = dropout(sqrt(D) E[token_ids] + P)                 (B, T, D)
        X_n = block_n(X_{n-1}, M),  n = 1 … num_layers          layers.TransformerDecoderBlock
        logits = norm(X_N) E^T                                  (B, T, V)

    E embeds tokens and scores them, P are learned positions, and the blocks are pre-norm, which
    trains without care for the first steps. Scores are held whole ("dense"): texts are short. A
    cached step computes one position: its own query,
    key and value, attention to the keys and values of the places before, which `moving` holds, and
    to those of the memory, which `fixed` holds.

    Shape letters: B batch, T tokens, S attended positions, D = `hidden_dim`, V vocabulary.

    Args:
        vocabulary_size: V, int of at least 1.
        hidden_dim: D, int of at least 1, a multiple of `num_heads`.
        num_layers: int of at least 1, number of blocks.
        num_heads: int of at least 1.
        intermediate_dim: int, channels inside each feed-forward network. Defaults to 4 D.
        dropout: float in [0, 1), of embedded tokens and of each branch, in training.
        max_length: int, the largest T, for which there are positions.
        seed: int or None, decides the first weights and the dropout.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments, returns and errors: see `Decoder`. Also raises ValueError where `num_heads` does
    not divide `hidden_dim`, or `max_length` is None.

    Example:

    >>> import numpy as np
    >>> from tatl_keras import models
    >>> decoder = models.TransformerDecoder(11, hidden_dim=6, num_layers=1, num_heads=2, seed=1)
    >>> tokens, memory = np.array([[1, 5, 7]]), np.ones((1, 4, 5), "float32")
    >>> logits, scores = decoder(tokens, memory, return_attention_scores=True)
    >>> tuple(logits.shape), tuple(scores.shape)
    ((1, 3, 11), (1, 3, 4))
    >>> fixed, moving = decoder.start(memory, None, length=3)
    >>> first, _, moving = decoder.step(tokens[:, 0], 0, fixed, moving)
    >>> bool(np.allclose(first, logits[:, 0], atol=1e-5))
    True

    References: Vaswani et al., "Attention Is All You Need", 2017, section 3,
    https://arxiv.org/abs/1706.03762; Press and Wolf, "Using the Output Embedding to Improve
    Language Models", 2017, https://arxiv.org/abs/1608.05859 (E twice); Desai and Johnson, "VirTex",
    2021, section 3, https://arxiv.org/abs/2006.06666 (captions).
    """

    def __init__(
        self,
        vocabulary_size,
        *,
        hidden_dim=256,
        num_layers=4,
        num_heads=4,
        intermediate_dim=None,
        dropout=0.1,
        max_length=64,
        seed=None,
        **kwargs,
    ):
        max_length = check_count("max_length", max_length)
        super().__init__(
            vocabulary_size, hidden_dim=hidden_dim, max_length=max_length, seed=seed, **kwargs
        )
        self.num_layers = check_count("num_layers", num_layers)
        self.num_heads = check_count("num_heads", num_heads)
        self.intermediate_dim = (
            None if intermediate_dim is None else check_dim("intermediate_dim", intermediate_dim)
        )
        self.dropout = check_rate("dropout", dropout)
        if self.hidden_dim % self.num_heads:
            raise ValueError(
                "`num_heads` must divide `hidden_dim`. Received: "
                f"num_heads={num_heads}, hidden_dim={hidden_dim}. Each head gets an equal part."
            )
        self._make_layers()

    def _make_layers(self):
        seeds = [derive_seed(self.seed, index) for index in range(4 + self.num_layers)]
        named = {"dtype": self.dtype_policy}
        self.memory_norm = keras.layers.LayerNormalization(name="memory_norm", **named)
        self.memory_dense = keras.layers.Dense(
            self.hidden_dim,
            use_bias=False,
            kernel_initializer=keras.initializers.GlorotUniform(seeds[0]),
            name="memory_dense",
            **named,
        )
        self.token_embedding = keras.layers.ReversibleEmbedding(
            self.vocabulary_size,
            self.hidden_dim,
            embeddings_initializer=keras.initializers.RandomNormal(
                stddev=self.hidden_dim**-0.5, seed=seeds[1]
            ),
            reverse_dtype="float32",
            name="token_embedding",
            **named,
        )
        self.position_embedding = PositionEmbedding(
            self.max_length,
            keras.initializers.RandomNormal(stddev=0.02, seed=seeds[2]),
            name="position_embedding",
            **named,
        )
        self.embedding_dropout = keras.layers.Dropout(
            self.dropout, seed=seeds[3], name="embedding_dropout", **named
        )
        self.blocks = [
            TransformerDecoderBlock(
                self.intermediate_dim or 4 * self.hidden_dim,
                self.num_heads,
                dropout=self.dropout,
                activation="gelu",
                normalize_first=True,
                implementation="dense",
                seed=seed,
                name=f"block_{index}",
                **named,
            )
            for index, seed in enumerate(seeds[4:])
        ]
        self.output_norm = keras.layers.LayerNormalization(name="output_norm", **named)

    def _build(self, memory_dim):
        tokens = (None, None, self.hidden_dim)
        self.memory_norm.build((None, None, memory_dim))
        self.memory_dense.build((None, None, memory_dim))
        self.token_embedding.build((None, None))
        for layer in (self.position_embedding, self.output_norm):
            layer.build(tokens)
        for block in self.blocks:
            block.build(tokens, tokens)

    def _decode(self, token_ids, memory, memory_mask, training, return_attention_scores):
        memory = self._read(memory)
        x = self._embed(token_ids, 0)
        x = self.embedding_dropout(x, training=training)
        found = []
        for block in self.blocks:
            x = block(
                x,
                memory,
                encoder_padding_mask=memory_mask,
                training=training,
                return_attention_scores=return_attention_scores,
            )
            if return_attention_scores:
                x, scores = x
                found.append(scores["cross"])
        return self._logits(x), _mean(found) if return_attention_scores else None

    def _start(self, memory, memory_mask, length):
        memory = self._read(memory)
        caches = [block.start_caches(length, memory, memory_mask) for block in self.blocks]
        moving, fixed = zip(*caches, strict=True)
        return {"memory": memory, "mask": memory_mask, "caches": list(fixed)}, list(moving)

    def step(self, token_ids, index, fixed, moving):
        x = self._embed(ops.expand_dims(token_ids, 1), index)
        found, kept = [], []
        for block, own, other in zip(self.blocks, moving, fixed["caches"], strict=True):
            x, scores, own, _ = block(
                x,
                fixed["memory"],
                encoder_padding_mask=fixed["mask"],
                self_attention_cache=own,
                self_attention_cache_update_index=index,
                cross_attention_cache=other,
                return_attention_scores=True,
            )
            found.append(scores["cross"])
            kept.append(own)
        return self._logits(x)[:, 0], _mean(found)[:, 0], kept

    def _read(self, memory):
        return self.memory_dense(self.memory_norm(memory))

    def _embed(self, token_ids, start):
        embedded = self.token_embedding(token_ids) * self.hidden_dim**0.5
        return embedded + self.position_embedding(embedded, start_index=start)

    def _logits(self, x):
        logits = self.token_embedding(self.output_norm(x), reverse=True)
        return ops.cast(logits, "float32")

    def get_config(self):
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "dropout": self.dropout,
        }


def _mean(scores):
    """The mean (B, T, S) of scores (B, H, T, S) over heads and layers."""
    return sum(ops.mean(ops.cast(each, "float32"), axis=1) for each in scores) / len(scores)
