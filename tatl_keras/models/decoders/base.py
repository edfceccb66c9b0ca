"""The interface of all decoders: all places of a text at once, or one after the other."""

import keras
from keras import ops

from tatl_keras.layers.checks import check_channels, check_count, check_dim, check_sequence


class Decoder(keras.layers.Layer):
    """Says which token comes next, from the tokens so far and an encoded memory.

        decoder(token_ids, memory, memory_mask) -> logits (B, T, V)

    The logits at place t are those of the token after `token_ids[:, t]`; they depend on the tokens
    up to and with t. So training sees all places at once (teacher forcing), and generation goes
    step by step and gets the same logits:

        fixed, moving = decoder.start(memory, memory_mask, length)
        logits, attention, moving = decoder.step(token_ids[:, t], t, fixed, moving)     (B, V)

    `fixed` is what the memory gives and no step changes, `moving` what each step changes; both are
    nested structures of tensors with the batch first, so that rows can be repeated and reordered.

    Shape letters: B batch, T tokens, S attended positions of the memory, Dm its channels, V
    vocabulary. Logits and attention are float32 under every dtype policy. A row whose memory has
    nothing unmasked is written from the tokens alone.

    Subclasses implement `_build(memory_dim)`, `_start`, `step` and `_decode`.

    Args:
        vocabulary_size: V, int of at least 1.
        hidden_dim: channels inside, int of at least 1.
        max_length: int, the largest T, or None where there is no limit.
        seed: int or None, decides the first weights and the dropout.

    Call arguments:
        token_ids: integers (B, T), the first of which starts a text.
        memory: floats (B, S, Dm).
        memory_mask: booleans or integers (B, S), nonzero = may be attended; None for all.
        training: bool or None.
        return_attention_scores: whether to return the scores as well.

    Returns:
        Logits (B, T, V), float32; with `return_attention_scores=True` also the scores (B, T, S),
        float32, the mean over what attends in the decoder: each row sums to 1, or is 0 where
        nothing may be attended.

    Raises:
        ValueError: a size is below 1; `memory` is no (B, S, Dm), or has other channels than the
            decoder was built for; T is above `max_length`.

    Example:

    >>> from tatl_keras import models
    >>> isinstance(models.LSTMDecoder(vocabulary_size=5, hidden_dim=2), models.Decoder)
    True
    """

    frozen = False  # read by `features`: what stands before a decoder may be frozen, it never is

    def __init__(self, vocabulary_size, *, hidden_dim, max_length=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size = check_count("vocabulary_size", vocabulary_size)
        self.hidden_dim = check_dim("hidden_dim", hidden_dim)
        self.max_length = None if max_length is None else check_count("max_length", max_length)
        self.seed = seed

    def build(self, token_ids_shape, memory_shape):
        self._build(check_sequence("memory", memory_shape, ranks=(3,))[-1])
        self._memory_dim = memory_shape[-1]

    def call(
        self, token_ids, memory, memory_mask=None, training=None, return_attention_scores=False
    ):
        self._check(token_ids.shape, memory.shape)
        logits, scores = self._decode(
            token_ids, memory, _mask(memory, memory_mask), training, return_attention_scores
        )
        return (logits, scores) if return_attention_scores else logits

    def start(self, memory, memory_mask, length):
        """What `step` needs before the first token.

        Args:
            memory: floats (B, S, Dm).
            memory_mask: booleans or integers (B, S), or None.
            length: int, the most steps to come.

        Returns:
            `(fixed, moving)`, nested structures of tensors (B, …).

        Raises:
            ValueError: as a call; `length` is above `max_length`.
        """
        self._check((None, check_count("length", length)), memory.shape)
        return self._start(memory, _mask(memory, memory_mask), length)

    def step(self, token_ids, index, fixed, moving):
        """The logits after one more token, without training.

        Args:
            token_ids: int32 (B,), the tokens at place `index`.
            index: int32 without axes.
            fixed, moving: as `start` and the step before gave them.

        Returns:
            `(logits, attention, moving)`: float32 (B, V) and (B, S), and `moving` for the next
            step.
        """
        raise NotImplementedError

    def compute_output_spec(
        self, token_ids, memory, memory_mask=None, training=None, return_attention_scores=False
    ):
        self._check(token_ids.shape, memory.shape)
        batch, length = token_ids.shape
        logits = keras.KerasTensor((batch, length, self.vocabulary_size), "float32")
        scores = keras.KerasTensor((batch, length, memory.shape[1]), "float32")
        return (logits, scores) if return_attention_scores else logits

    def compute_output_shape(self, token_ids_shape, memory_shape):
        self._check(token_ids_shape, memory_shape)
        return (*token_ids_shape, self.vocabulary_size)

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "hidden_dim": self.hidden_dim,
            "max_length": self.max_length,
            "seed": self.seed,
        }

    def _build(self, memory_dim):
        """Makes and builds the layers for a memory of so many channels."""
        raise NotImplementedError

    def _decode(self, token_ids, memory, memory_mask, training, return_attention_scores):
        """`(logits, scores)`; scores may be None where they are not asked for."""
        raise NotImplementedError

    def _start(self, memory, memory_mask, length):
        """As `start`, of checked arguments."""
        raise NotImplementedError

    def _check(self, token_ids_shape, memory_shape):
        shape = check_sequence("memory", memory_shape, ranks=(3,))
        if self.built:
            check_channels("memory", shape, self._memory_dim)
        length = token_ids_shape[1] if len(token_ids_shape) == 2 else None
        if len(token_ids_shape) != 2 or (
            None not in (length, self.max_length) and length > self.max_length
        ):
            limit = "T" if self.max_length is None else f"T of at most {self.max_length}"
            raise ValueError(
                f"`token_ids` must be integers (B, {limit}). "
                f"Received: token_ids.shape={tuple(token_ids_shape)}. "
                "Shorten the texts, or make a decoder with a larger `max_length`."
            )


def _mask(memory, memory_mask):
    """The mask (B, S) as booleans."""
    if memory_mask is None:
        return ops.ones(ops.shape(memory)[:2], "bool")
    return ops.cast(memory_mask, "bool")
