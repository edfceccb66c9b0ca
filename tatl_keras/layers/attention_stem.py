"""The first layer of a network of attention: small blocks of pixels with values by place."""

import math

import keras
from keras import ops

from tatl_keras.layers.checks import check_choice, check_count, check_dim, check_mask
from tatl_keras.layers.execution import IMPLEMENTATIONS, attention_spec, dot_product_attention
from tatl_keras.layers.kernels import add_kernels, kernel_config
from tatl_keras.layers.local_checks import check_head_dim, check_map
from tatl_keras.layers.maps import from_blocks, to_blocks
from tatl_keras.layers.masking import zero_masked
from tatl_keras.layers.seeded import seeded_initializer
from tatl_keras.layers.seeds import derive_seed, split_initializer


@keras.saving.register_keras_serializable(package="tatl_keras")
class AttentionStem(keras.layers.Layer):
    """Attends within each k × k block of a picture, to values that depend on the place in it.

        q = x W_Q,  k = x W_K                                 (B, H, W, F), F / h a head
        p[a, b] = softmax over m of (row[a] + column[b]) · mixture[m]        (k, k, M)
        v = x (sum over m of p[a, b, m] W_V[m])               at row a, column b of each block
        A = softmax(q · k) over the positions of the block    for each head
        Y = A v                                               (B, H, W, F), heads side by side

    Single pixels have little content; what convolutions see in them is where they stand. So here
    the values are a mixture of M projections whose shares p depend on the place in the block, the
    same for all heads. There are no biases, no output projection and no factor 1 / sqrt(F / h).

    The paper's stem is this layer with its defaults and F = 64, batch normalisation and a maximum
    over each 4 × 4 block.

    Shape letters: B batch, H, W picture, C, F channels of inputs and outputs, h heads, k side of a
    block, M mixtures, e `embedding_dim`.

    Masks: True (nonzero) marks real pixels. What stands in the others has no effect and gets no
    gradient; their own outputs and scores are zero. Blocks that the edge cuts off attend to what
    they have. The softmax over positions runs in float32 under any dtype policy (in float64 under
    "float64").

    Weights, in the order of `get_weights()`: `query_kernel`, `key_kernel`, `value_kernel_0` …
    `value_kernel_<M - 1>` (C, F), `row_embeddings`, `column_embeddings` (k, e) and
    `mixture_embeddings` (M, e).

    Args:
        filters: F, integer, a multiple of `num_heads`.
        kernel_size: k, integer of at least 1.
        num_heads: h, integer of at least 1.
        num_mixtures: M, integer of at least 1.
        embedding_dim: e, integer of at least 1; None takes F / h.
        implementation: "dense" computes A of all blocks at once, "chunked" (TensorFlow only) of
            some at a time and again for the gradient, "auto" chooses. The results are the same.
        kernel_initializer: initializer of the kernels. A seeded one gives each kernel a seed of its
            own, derived from the given one, so that the kernels differ.
        embeddings_initializer: initializer of the embeddings, likewise.
        kernel_regularizer: optional regularizer of the kernels.
        kernel_constraint: optional constraint of the kernels.
        seed: optional integer; fixes the first weights if their initializers have no seeds of their
            own.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments:
        inputs: floats (B, H, W, C). H and W may be unknown and of any size.
        mask: optional booleans or integers (B, H, W). When given, it replaces the implicit Keras
            mask of `inputs`; otherwise that one is used, if there is one.
        return_attention_scores: whether to return A as well, which "chunked" cannot.

    Returns:
        Y (B, H, W, F) in the compute dtype; with `return_attention_scores=True` the pair Y, A, A
        (B, H, W, h, k, k) in float32: the last two axes are places in the block. Y carries the
        implicit Keras mask of `inputs`.

    Raises:
        ValueError: an argument is out of bounds; `inputs` has another rank, unknown channels, or
            other channels than the layer was built for; `mask` is neither boolean nor integer or
            not (B, H, W).

    Example:

    >>> import numpy as np
    >>> from tatl_keras import layers
    >>> layer = layers.AttentionStem(8, num_heads=2)
    >>> outputs, scores = layer(np.ones((1, 6, 9, 3)), return_attention_scores=True)
    >>> tuple(outputs.shape), tuple(scores.shape)
    ((1, 6, 9, 8), (1, 6, 9, 2, 4, 4))
    >>> scores[0, 5, 8, 0].numpy().round(2).tolist()[:3]  # two pixels of this block are there
    [[0.5, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]

    Reference:
        Ramachandran et al., "Stand-Alone Self-Attention in Vision Models", 2019, section 3.2 and
        appendix, https://arxiv.org/abs/1906.05909.
    """

    def __init__(
        self,
        filters,
        kernel_size=4,
        *,
        num_heads=4,
        num_mixtures=4,
        embedding_dim=None,
        implementation="auto",
        kernel_initializer="glorot_uniform",
        embeddings_initializer="random_normal",
        kernel_regularizer=None,
        kernel_constraint=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._head_dim = check_head_dim("filters", filters, num_heads)
        self.filters, self.num_heads = check_dim("filters", filters), int(num_heads)
        self.kernel_size = check_count("kernel_size", kernel_size)
        self.num_mixtures = check_count("num_mixtures", num_mixtures)
        self.embedding_dim = (
            self._head_dim if embedding_dim is None else check_dim("embedding_dim", embedding_dim)
        )
        self.implementation = check_choice("implementation", implementation, IMPLEMENTATIONS)
        self.kernel_initializer = seeded_initializer(kernel_initializer, derive_seed(seed, 1))
        self.embeddings_initializer = seeded_initializer(
            embeddings_initializer, derive_seed(seed, 2)
        )
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.seed = seed
        self.supports_masking = True

    def build(self, inputs_shape):
        shape = (self._check_shape(inputs_shape)[-1], self.filters)
        values = [f"value_kernel_{m}" for m in range(self.num_mixtures)]
        names = ["query_kernel", "key_kernel", *values]
        kernels = add_kernels(self, **dict.fromkeys(names, shape))
        self.query_kernel, self.key_kernel, *self.value_kernels = kernels
        counts = {
            "row_embeddings": self.kernel_size,
            "column_embeddings": self.kernel_size,
            "mixture_embeddings": self.num_mixtures,
        }
        initializers = split_initializer(self.embeddings_initializer, len(counts))
        self.row_embeddings, self.column_embeddings, self.mixture_embeddings = (
            self.add_weight(name=name, shape=(count, self.embedding_dim), initializer=initializer)
            for (name, count), initializer in zip(counts.items(), initializers, strict=True)
        )

    def call(self, inputs, mask=None, return_attention_scores=False):
        shape = self._check_shape(inputs.shape)
        if mask is not None:
            mask = check_mask("mask", mask, shape[:-1])
            inputs = zero_masked(inputs, mask)
        sizes = ops.shape(inputs)[:3]
        blocks = to_blocks(inputs, self.kernel_size)
        factor = math.sqrt(self._head_dim)  # the core divides by it
        attended = dot_product_attention(
            self._split_heads(ops.matmul(blocks, self.query_kernel)) * factor,
            self._split_heads(ops.matmul(blocks, self.key_kernel)),
            self._split_heads(self._values(blocks)),
            value_mask=self._seen(sizes, mask),
            implementation=self.implementation,
            return_attention_scores=return_attention_scores,
        )
        outputs = self._join(attended.outputs, sizes, mask)
        if not return_attention_scores:
            return outputs
        scores = self._join(attended.scores, sizes, mask)
        window = (self.num_heads, self.kernel_size, self.kernel_size)
        return outputs, ops.reshape(scores, (*ops.shape(scores)[:3], *window))

    def compute_output_shape(self, inputs_shape):
        return (*self._check_shape(inputs_shape)[:-1], self.filters)

    def compute_output_spec(self, inputs, mask=None, return_attention_scores=False):
        shape = self.compute_output_shape(inputs.shape)
        if mask is not None:
            check_mask("mask", mask, inputs.shape[:-1])
        window = (self.num_heads, self.kernel_size, self.kernel_size)
        scores_shape = (*inputs.shape[:-1], *window)
        return attention_spec(
            self.compute_dtype, shape, scores_shape, return_attention_scores, self.implementation
        )

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "num_heads": self.num_heads,
            "num_mixtures": self.num_mixtures,
            "embedding_dim": self.embedding_dim,
            "implementation": self.implementation,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
            **kernel_config(self),
            "seed": self.seed,
        }

    def _values(self, blocks):
        """v (blocks, k², F): one kernel for each place of a block, mixed from all."""
        rows = ops.expand_dims(self.row_embeddings, 1)
        places = ops.reshape(rows + self.column_embeddings, (-1, self.embedding_dim))
        shares = ops.matmul(places, ops.transpose(self.mixture_embeddings))
        shares = ops.softmax(ops.cast(shares, keras.backend.result_type(shares.dtype, "float32")))
        kernels = ops.stack([ops.reshape(kernel, (-1,)) for kernel in self.value_kernels])
        kernels = ops.matmul(ops.cast(shares, kernels.dtype), kernels)
        kernels = ops.reshape(kernels, (self.kernel_size**2, -1, self.filters))
        return ops.transpose(ops.matmul(ops.transpose(blocks, (1, 0, 2)), kernels), (1, 0, 2))

    def _seen(self, sizes, mask):
        """Which positions of each block are real, (B · blocks, 1, k²) or (blocks, …); or None."""
        if mask is None:
            if all(isinstance(n, int) and n % self.kernel_size == 0 for n in sizes[1:]):
                return None
            mask = ops.ones(sizes, dtype="int32")
        seen = ops.cast(ops.expand_dims(ops.cast(mask, "bool"), -1), "int32")
        return ops.transpose(to_blocks(seen, self.kernel_size), (0, 2, 1))

    def _split_heads(self, x):
        x = ops.reshape(x, (-1, self.kernel_size**2, self.num_heads, self._head_dim))
        return ops.transpose(x, (0, 2, 1, 3))

    def _join(self, x, sizes, mask):
        x = ops.transpose(x, (0, 2, 1, 3))
        x = ops.reshape(x, (-1, self.kernel_size**2, x.shape[2] * x.shape[3]))
        x = from_blocks(x, self.kernel_size, sizes)
        return x if mask is None else zero_masked(x, mask)

    def _check_shape(self, shape):
        return check_map("inputs", shape, self.query_kernel.shape[0] if self.built else None)
