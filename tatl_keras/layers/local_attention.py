"""Attention of each position of a map to its neighbourhood."""

import math

import keras
import numpy as np
from keras import ops

from tatl_keras.layers.checks import check_choice, check_count, check_dim, check_mask, check_rate
from tatl_keras.layers.execution import IMPLEMENTATIONS, attention_spec, dot_product_attention
from tatl_keras.layers.implementation import in_tiles_if_possible
from tatl_keras.layers.kernels import add_kernels, kernel_config
from tatl_keras.layers.local_checks import (
    check_head_dim,
    check_map,
    check_scale,
    check_window,
    check_window_fits,
)
from tatl_keras.layers.local_tiles import LocalTiles
from tatl_keras.layers.maps import any_in_blocks, average_blocks
from tatl_keras.layers.masking import zero_masked
from tatl_keras.layers.seeded import seeded_initializer
from tatl_keras.layers.seeds import derive_seed, split_initializer


@keras.saving.register_keras_serializable(package="tatl_keras")
class LocalSelfAttention2D(keras.layers.Layer):
    """Attends from each position of a map to the k × k positions around it, in several heads.

        q = x W_Q,  k = x W_K,  v = x W_V                      (B, H, W, F), F / h a head
        E[i,j,a,b] = s q[i,j] · (k[a,b] + r[a - i, b - j])     for |a - i|, |b - j| ≤ (k - 1) / 2
        A = softmax(E) over a and b                            for each head
        y[i,j] = sum over a and b of A[i,j,a,b] v[a,b]         (B, H, W, F), heads side by side
        Y = averages of y over blocks of strides × strides     (B, ⌈H / strides⌉, ⌈W / strides⌉, F)

    where r[a - i, b - j] = concat(row_embeddings[a - i], column_embeddings[b - j]), each with half
    of the channels of a head. As only W_Q, W_K and W_V differ between heads in the paper, all heads
    share r. There are no biases and no output projection.

    Shape letters: B batch, H, W map, C, F channels of inputs and outputs, h heads, k window.

    Edge of the map: positions outside of it are not attended; there are fewer of them to choose
    from. (With zero padding, which many programs do, such positions take part with the logit
    s q · r and the value 0.) A last block that the edge cuts off is averaged over what it has.

    Masks: True (nonzero) marks real pixels. What stands in the others has no effect and gets no
    gradient; their own outputs and scores are zero, and averages over blocks leave them out. A
    position with nothing to attend gives zeros. The softmax runs in float32 under any dtype policy
    (in float64 under "float64").

    Execution: the map is cut into tiles, and each tile attends to the block that its windows reach,
    so that memory grows with H · W. No order of computation is visible in the results.

    Weights, in the order of `get_weights()`: `query_kernel`, `key_kernel`, `value_kernel` (C, F),
    `row_embeddings` and `column_embeddings` (k, F / h / 2), the offset -(k - 1) / 2 first.

    Args:
        filters: F, integer, a multiple of 2 · `num_heads`.
        kernel_size: k, odd integer of at least 1, at most H and W.
        num_heads: h, integer of at least 1.
        strides: integer of at least 1, the side of the blocks that are averaged afterwards.
        scale: s. None takes 1, as the paper; "sqrt_dim" takes 1 / sqrt(F / h), as scaled dot
            products do; or a number above 0.
        dropout: fraction of the entries of A dropped in training, in [0, 1).
        implementation: "dense" computes A of all tiles at once, "chunked" (TensorFlow only) of some
            at a time and again for the gradient, "auto" chooses. The results are the same.
        kernel_initializer: initializer of the kernels. A seeded one gives each kernel a seed of its
            own, derived from the given one, so that the kernels differ.
        embeddings_initializer: initializer of the embeddings, likewise.
        kernel_regularizer: optional regularizer of the kernels.
        kernel_constraint: optional constraint of the kernels.
        seed: optional integer; fixes the dropout, and the first weights if their initializers have
            no seeds of their own.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: floats (B, H, W, C). H and W may be unknown when the graph is made; a map that then
            turns out smaller than the window is attended as a whole.
        mask: optional booleans or integers (B, H, W). When given, it replaces the implicit Keras
            mask of `inputs`; otherwise that one is used, if there is one.
        return_attention_scores: whether to return A as well, which "chunked" cannot.
        training: whether to drop out.

    Returns:
        Y in the compute dtype; with `return_attention_scores=True` the pair Y, A, A
        (B, H, W, h, k, k) in float32, before dropout and before averaging, zero outside of the map.
        Y carries an implicit mask, True for blocks with any real pixel, if `inputs` has one.

    Raises:
        ValueError: an argument is out of bounds; `inputs` has another rank, unknown channels, other
            channels than the layer was built for, or known sides shorter than the window; `mask` is
            neither boolean nor integer or not (B, H, W).

    Example:

    >>> import numpy as np
    >>> from tatl_keras import layers
    >>> layer = layers.LocalSelfAttention2D(8, kernel_size=3, num_heads=2, strides=2)
    >>> outputs, scores = layer(np.ones((1, 6, 4, 5)), return_attention_scores=True)
    >>> tuple(outputs.shape), tuple(scores.shape)
    ((1, 3, 2, 8), (1, 6, 4, 2, 3, 3))
    >>> (scores[0, 0, 0, 0].numpy() > 0).astype(int).tolist()
    [[0, 0, 0], [0, 1, 1], [0, 1, 1]]

    Reference:
        Ramachandran et al., "Stand-Alone Self-Attention in Vision Models", 2019, section 3,
        https://arxiv.org/abs/1906.05909.
    """

    def __init__(
        self,
        filters,
        kernel_size=7,
        *,
        num_heads=8,
        strides=1,
        scale=None,
        dropout=0.0,
        implementation="auto",
        kernel_initializer="glorot_uniform",
        embeddings_initializer="random_normal",
        kernel_regularizer=None,
        kernel_constraint=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._head_dim = check_head_dim("filters", filters, num_heads, halves=True)
        self.filters, self.num_heads = check_dim("filters", filters), int(num_heads)
        self.kernel_size = check_window(kernel_size)
        self.strides = check_count("strides", strides)
        self.scale = check_scale(scale)
        self.dropout = check_rate("dropout", dropout)
        self.implementation = check_choice("implementation", implementation, IMPLEMENTATIONS)
        self.kernel_initializer = seeded_initializer(kernel_initializer, derive_seed(seed, 1))
        self.embeddings_initializer = seeded_initializer(
            embeddings_initializer, derive_seed(seed, 2)
        )
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.seed = seed
        if self.dropout:
            self.seed_generator = keras.random.SeedGenerator(derive_seed(seed, 0))
        self.supports_masking = True

    def build(self, inputs_shape):
        shape = (self._check_shape(inputs_shape)[-1], self.filters)
        self.query_kernel, self.key_kernel, self.value_kernel = add_kernels(
            self, query_kernel=shape, key_kernel=shape, value_kernel=shape
        )
        initializers = split_initializer(self.embeddings_initializer, 2)
        self.row_embeddings, self.column_embeddings = (
            self.add_weight(
                name=name, shape=(self.kernel_size, self._head_dim // 2), initializer=initializer
            )
            for name, initializer in zip(
                ("row_embeddings", "column_embeddings"), initializers, strict=True
            )
        )

    def call(self, inputs, mask=None, return_attention_scores=False, training=None):
        shape = self._check_shape(inputs.shape)
        if mask is not None:
            mask = check_mask("mask", mask, shape[:-1])
            inputs = zero_masked(inputs, mask)
        tiles = LocalTiles(*ops.shape(inputs)[1:3], self.kernel_size)
        queries = self._queries(tiles, ops.matmul(inputs, self.query_kernel))
        keys = self._keys(tiles, tiles.halos(ops.matmul(inputs, self.key_kernel), self.num_heads))
        values = tiles.halos(ops.matmul(inputs, self.value_kernel), self.num_heads)
        seen = tiles.inside()
        if mask is not None:
            seen = tiles.halos(ops.expand_dims(ops.cast(ops.cast(mask, "bool"), "int32"), -1), 1)[
                ..., 0
            ]
        rate = self.dropout if training else 0.0
        attended = dot_product_attention(
            queries,
            keys,
            values,
            value_mask=seen,
            attention_mask=tiles.windows(),
            dropout=rate,
            seed=self.seed_generator.next() if rate else None,
            implementation=in_tiles_if_possible(self.implementation, return_attention_scores),
            return_attention_scores=return_attention_scores,
        )
        outputs = self._outputs(tiles, attended.outputs, mask)
        if not return_attention_scores:
            return outputs
        return outputs, self._scores(tiles, attended.scores, mask)

    def compute_output_shape(self, inputs_shape):
        batch, height, width, _ = self._check_shape(inputs_shape)
        sides = (None if n is None else -(-n // self.strides) for n in (height, width))
        return (batch, *sides, self.filters)

    def compute_output_spec(self, inputs, mask=None, return_attention_scores=False, training=None):
        shape = self.compute_output_shape(inputs.shape)
        if mask is not None:
            check_mask("mask", mask, inputs.shape[:-1])
        window = (self.kernel_size, self.kernel_size)
        scores_shape = (*inputs.shape[:-1], self.num_heads, *window)
        return attention_spec(
            self.compute_dtype, shape, scores_shape, return_attention_scores, self.implementation
        )

    def compute_mask(self, inputs, previous_mask=None):
        if previous_mask is None or self.strides == 1:
            return previous_mask
        return any_in_blocks(previous_mask, self.strides)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "num_heads": self.num_heads,
            "strides": self.strides,
            "scale": self.scale,
            "dropout": self.dropout,
            "implementation": self.implementation,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
            **kernel_config(self),
            "seed": self.seed,
        }

    def _queries(self, tiles, queries):
        """s [q, q · row_embeddings, q · column_embeddings], (B, h, N, T, D + 2 k).

        The products of position i of a tile are turned round, so that place c holds that with the
        offset of the halo's positions c, c + k, c + 2 k, …: at most one of these lies in the window
        of i. So `_keys` of width D + 2 k are enough to add the right product to each logit.
        """
        queries = tiles.tiles(queries, self.num_heads)
        row_half, column_half = ops.split(queries, 2, axis=-1)
        rows = _turned(self.row_embeddings, tiles.rows)
        columns = _turned(self.column_embeddings, tiles.columns)
        parts = [
            queries,
            ops.matmul(row_half, ops.expand_dims(rows, 1)),
            ops.matmul(column_half, columns),
        ]
        queries = tiles.by_tile(ops.concatenate(parts, axis=-1), self.num_heads)
        scale = 1 / math.sqrt(self._head_dim) if self.scale == "sqrt_dim" else self.scale or 1
        return queries * (scale * math.sqrt(queries.shape[-1]))

    def _keys(self, tiles, keys):
        """[k, one-hot of row mod k, one-hot of column mod k], (B, h, N, S, D + 2 k)."""
        k = self.kernel_size
        rows, columns = np.eye(k)[np.arange(tiles.rows.reach) % k], np.eye(k)
        columns = columns[np.arange(tiles.columns.reach) % k]
        places = np.concatenate(
            [np.repeat(rows, len(columns), 0), np.tile(columns, (len(rows), 1))], -1
        )
        places = ops.convert_to_tensor(places, dtype=keys.dtype)
        places = ops.broadcast_to(places, (*ops.shape(keys)[:-1], 2 * k))
        return ops.concatenate([keys, places], axis=-1)

    def _outputs(self, tiles, outputs, mask):
        outputs = tiles.from_tiles(outputs)
        outputs = ops.reshape(outputs, (*ops.shape(outputs)[:3], self.filters))
        if mask is not None:
            outputs = zero_masked(outputs, mask)
        return average_blocks(outputs, self.strides, mask)

    def _scores(self, tiles, scores, mask):
        scores = tiles.from_tiles(tiles.from_windows(scores))
        if mask is not None:
            scores = zero_masked(scores, ops.expand_dims(mask, -1))
        window = (self.kernel_size, self.kernel_size)
        return ops.reshape(scores, (*ops.shape(scores)[:4], *window))

    def _check_shape(self, shape):
        shape = check_map("inputs", shape, self.query_kernel.shape[0] if self.built else None)
        check_window_fits(self.kernel_size, shape)
        return shape


def _turned(embeddings, cut):
    """(k, D / 2) as (positions of a tile, D / 2, k): the embedding of each offset modulo k."""
    k = embeddings.shape[0]
    turn = np.arange(k) - np.arange(cut.side)[:, None] + (k // 2 - cut.before)
    pick = ops.convert_to_tensor(np.eye(k)[turn % k], dtype=embeddings.dtype)
    return ops.transpose(ops.matmul(pick, embeddings), (0, 2, 1))
