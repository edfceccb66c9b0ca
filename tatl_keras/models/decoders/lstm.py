"""An LSTM that writes, with soft attention."""

import math

import keras
import tensorflow as tf
from keras import ops

from tatl_keras.layers.checks import check_dim, check_rate
from tatl_keras.layers.execution import dot_product_attention
from tatl_keras.layers.masking import zero_masked
from tatl_keras.layers.seeds import derive_seed
from tatl_keras.layers.tiling import scan
from tatl_keras.models.decoders.base import Decoder


@keras.saving.register_keras_serializable(package="tatl_keras")
class LSTMDecoder(Decoder):
    """Writes with one LSTM that looks at the memory anew for each token.

        m = the mean of the unmasked memory M_s                           (B, Dm)
        h_0 = tanh(m W_h0 + b_h0),  c_0 = tanh(m W_c0 + b_c0)             (B, D)
        x_t = dropout(E[token_ids_t])                                     (B, De)
        e_ts = w · tanh(M_s W_m + h_{t-1} W_h + b)                        (B, S)
        a_t = softmax of e_t over unmasked s                              (B, S)
        β_t = σ(h_{t-1} w_β + b_β)                                        (B, 1)
        z_t = β_t Σ_s a_ts M_s                                            (B, Dm)
        h_t, c_t = LSTM([x_t, z_t], h_{t-1}, c_{t-1})                     (B, D)
        logits_t = dropout(tanh(x_t + h_t L_h + b_h + z_t L_z)) L_o + b_o   (B, V)

    A call and a step run the same cell; a call does outside of its loop what does not depend on the
    state: M W_m, the embeddings and the logits. `fixed` holds M and M W_m, `moving` h and c.

    This is the decoder of "Show, Attend and Tell" with its choices for captions: soft attention
    through a layer of two inputs, the first state from the mean, the gate β, one number a step, and
    the output from token, state and gated context at once. As in its authors' program and not in
    equation (7), the output has a tanh. Left out: the penalty for places that are seldom looked at
    ("doubly stochastic"), and hidden layers before h_0 and c_0. The attention is that of
    translation by Bahdanau et al., who have a GRU in the place of the LSTM.

    Shape letters: B batch, T tokens, S attended positions of the memory, Dm its channels, D =
    `hidden_dim`, De = `embedding_dim`, V vocabulary. Masked memory counts as zeros: what stands
    there has no effect and gets no gradient. Where nothing is unmasked, m and z are zeros.

    Args:
        vocabulary_size: V, int of at least 1.
        hidden_dim: D, int of at least 1.
        embedding_dim: De, int of at least 1.
        attention_dim: int of at least 1, channels of W_m and W_h.
        dropout: float in [0, 1), of embedded tokens and of what L_o reads, in training.
        max_length: int, the largest T, or None where there is no limit.
        seed: int or None, decides the first weights and the dropout.
        **kwargs: `name`, `dtype`, `trainable`.

    Call arguments, returns and errors: see `Decoder`. Also raises ValueError where `embedding_dim`
    or `attention_dim` is below 1, or `dropout` outside [0, 1).

    Example:

    >>> import numpy as np
    >>> from tatl_keras import models
    >>> decoder = models.LSTMDecoder(11, hidden_dim=6, embedding_dim=5, attention_dim=3, seed=1)
    >>> tokens, memory = np.array([[1, 5, 7]]), np.ones((1, 4, 2), "float32")
    >>> logits, scores = decoder(tokens, memory, return_attention_scores=True)
    >>> tuple(logits.shape), scores[0, 0].numpy().tolist()
    ((1, 3, 11), [0.25, 0.25, 0.25, 0.25])
    >>> fixed, moving = decoder.start(memory, None, length=3)
    >>> first, _, moving = decoder.step(tokens[:, 0], 0, fixed, moving)
    >>> bool(np.allclose(first, logits[:, 0], atol=1e-5))
    True

    References: Xu et al., "Show, Attend and Tell", 2015, sections 3.1.2 and 4.2,
    https://arxiv.org/abs/1502.03044; Bahdanau, Cho and Bengio, "Neural Machine Translation by
    Jointly Learning to Align and Translate", 2015, section 3, https://arxiv.org/abs/1409.0473.
    """

    def __init__(
        self,
        vocabulary_size,
        *,
        hidden_dim=512,
        embedding_dim=256,
        attention_dim=256,
        dropout=0.0,
        max_length=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            vocabulary_size, hidden_dim=hidden_dim, max_length=max_length, seed=seed, **kwargs
        )
        self.embedding_dim = check_dim("embedding_dim", embedding_dim)
        self.attention_dim = check_dim("attention_dim", attention_dim)
        self.dropout = check_rate("dropout", dropout)
        self._make_layers()

    def _make_layers(self):
        named = {"dtype": self.dtype_policy}
        self.token_embedding = keras.layers.Embedding(
            self.vocabulary_size,
            self.embedding_dim,
            embeddings_initializer=keras.initializers.RandomNormal(
                stddev=self.embedding_dim**-0.5, seed=derive_seed(self.seed, 0)
            ),
            name="token_embedding",
            **named,
        )
        self.cell = keras.layers.LSTMCell(
            self.hidden_dim,
            kernel_initializer=keras.initializers.GlorotUniform(derive_seed(self.seed, 1)),
            recurrent_initializer=keras.initializers.Orthogonal(seed=derive_seed(self.seed, 2)),
            name="cell",
            **named,
        )
        self.first_hidden = self._dense("first_hidden", 3, self.hidden_dim, "tanh")
        self.first_carry = self._dense("first_carry", 4, self.hidden_dim, "tanh")
        self.memory_dense = self._dense("memory_dense", 5, self.attention_dim, use_bias=False)
        self.query_dense = self._dense("query_dense", 6, self.attention_dim)
        self.gate_dense = self._dense("gate_dense", 7, 1, "sigmoid")
        self.output_hidden = self._dense("output_hidden", 8, self.embedding_dim)
        self.output_context = self._dense("output_context", 9, self.embedding_dim, use_bias=False)
        self.output_logits = self._dense("output_logits", 10, self.vocabulary_size, dtype="float32")
        self.embedding_dropout, self.output_dropout = (
            keras.layers.Dropout(self.dropout, seed=derive_seed(self.seed, i), name=name, **named)
            for i, name in ((11, "embedding_dropout"), (12, "output_dropout"))
        )

    def _dense(self, name, index, units, activation=None, **options):
        return keras.layers.Dense(
            units,
            activation,
            kernel_initializer=keras.initializers.GlorotUniform(derive_seed(self.seed, index)),
            name=name,
            **{"dtype": self.dtype_policy, **options},
        )

    def _build(self, memory_dim):
        self.token_embedding.build((None, None))
        self.cell.build((None, self.embedding_dim + memory_dim))
        for layer in (self.first_hidden, self.first_carry, self.memory_dense, self.output_context):
            layer.build((None, memory_dim))
        for layer in (self.query_dense, self.gate_dense, self.output_hidden):
            layer.build((None, self.hidden_dim))
        self.output_logits.build((None, self.embedding_dim))
        self.attention_kernel = self.add_weight(
            name="attention_kernel",
            shape=(self.attention_dim, 1),
            initializer=keras.initializers.GlorotUniform(derive_seed(self.seed, 13)),
        )

    def _decode(self, token_ids, memory, memory_mask, training, return_attention_scores):
        fixed, moving = self._start(memory, memory_mask, None)
        embedded = self.embedding_dropout(self.token_embedding(token_ids), training=training)
        by_time = ops.swapaxes(embedded, 0, 1)

        def body(t, moving):
            context, attention, moving = self._advance(by_time[t], fixed, moving)
            return moving, [moving["hidden"], context, attention]

        dtypes = [self.compute_dtype, self.compute_dtype, "float32"]
        _, found = scan(ops.shape(by_time)[0], body, moving, dtypes)
        widths = (self.hidden_dim, memory.shape[2], memory.shape[1])
        hidden, context, attention = (
            ops.swapaxes(tf.ensure_shape(x, (*by_time.shape[:2], width)), 0, 1)
            for x, width in zip(found, widths, strict=True)
        )
        return self._logits(embedded, hidden, context, training), attention

    def _start(self, memory, memory_mask, length):
        memory = zero_masked(ops.cast(memory, self.compute_dtype), memory_mask)
        count = ops.sum(ops.cast(memory_mask, "float32"), axis=1, keepdims=True)
        mean = ops.sum(ops.cast(memory, "float32"), axis=1) / ops.maximum(count, 1.0)
        fixed = {"memory": memory, "keys": self.memory_dense(memory), "mask": memory_mask}
        return fixed, {"hidden": self.first_hidden(mean), "carry": self.first_carry(mean)}

    def step(self, token_ids, index, fixed, moving):
        embedded = self.token_embedding(token_ids)
        context, attention, moving = self._advance(embedded, fixed, moving)
        return self._logits(embedded, moving["hidden"], context, False), attention, moving

    def _advance(self, embedded, fixed, moving):
        """z_t (B, Dm), a_t (B, S) and the next state, from x_t (B, De) and the state."""
        hidden = moving["hidden"]
        keys = ops.tanh(fixed["keys"] + ops.expand_dims(self.query_dense(hidden), 1))
        # w is a query for all: its product with what the tanh gives is e_t.
        query = ops.cast(ops.transpose(self.attention_kernel), keys.dtype)
        attended = dot_product_attention(
            query * math.sqrt(self.attention_dim),
            keys,
            fixed["memory"],
            value_mask=fixed["mask"],
            return_attention_scores=True,
        )
        context = self.gate_dense(hidden) * attended.outputs[:, 0]
        read = ops.concatenate([embedded, context], axis=-1)
        _, (hidden, carry) = self.cell(read, [hidden, moving["carry"]])
        attention = ops.cast(attended.scores[:, 0], "float32")
        return context, attention, {"hidden": hidden, "carry": carry}

    def _logits(self, embedded, hidden, context, training):
        outputs = embedded + self.output_hidden(hidden) + self.output_context(context)
        outputs = self.output_dropout(ops.tanh(outputs), training=training)
        return self.output_logits(outputs)

    def get_config(self):
        return {
            **super().get_config(),
            "embedding_dim": self.embedding_dim,
            "attention_dim": self.attention_dim,
            "dropout": self.dropout,
        }
