"""The interface of all encoders: tokens, pooled, mask, and one way to freeze."""

import keras

from tatl_keras.encoders import freezing


class Encoder(keras.layers.Layer):
    """Turns raw model inputs into tokens, one pooled vector and a mask.

        encoder(inputs) -> {"tokens": (B, T, D), "pooled": (B, D), "mask": (B, T)}

    Shape letters: B batch, T tokens, D channels (`output_dim`). Tokens and pooled are float32
    under every dtype policy, the mask is int32 with 1 for a real token.

    An encoder is in one of three states:

    | state | made by | trainable weights |
    |---|---|---|
    | frozen | `frozen=True`, `freeze()` | none |
    | last blocks | `unfrozen_last_n=n`, `unfreeze(last_n=n)` | last n blocks and what follows |
    | free | `frozen=False`, `unfreeze()` | all that the outputs depend on |

    While frozen, the network inside runs in inference mode whatever `training` says (BatchNorm
    keeps its statistics, dropout is off) and no gradient passes. In the other states it runs with
    the given `training`; BatchNorm of blocks that are still frozen stays in inference mode, their
    dropout does not. The state is part of the config and survives saving. `trainable = True` on the
    encoder or on a model around it does not unfreeze anything. A compiled model must be compiled
    again after a change of state, as always in Keras.

    Subclasses make their layers, then call `apply_state()`, and implement `call`, `output_dim`,
    `_split_blocks` and `_fingerprint`.

    Args:
        frozen: bool, whether no weight learns.
        unfrozen_last_n: int or None, how many blocks at the end learn when not frozen; None = all.
        preset: string or None, where the weights came from; kept for the record and for finding
            them again, never loaded from here. A frozen encoder with a preset has its weights.

    Raises:
        ValueError: `frozen` is no bool, or `unfrozen_last_n` is given together with `frozen=True`
            or is not between 1 and the number of blocks.

    Example:

    >>> from tatl_keras import encoders
    >>> encoder, _ = encoders.build_text("test_text")
    >>> len(encoder.trainable_weights), encoder.num_blocks
    (0, 2)
    >>> encoder.unfreeze(last_n=1)
    >>> len(encoder.trainable_weights), encoder.frozen
    (16, False)
    """

    # Names of inner layers whose output the encoder does not read: they never learn.
    _unread_layers: tuple[str, ...] = ()

    def __init__(self, *, frozen=True, unfrozen_last_n=None, preset=None, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(frozen, bool):
            raise ValueError(
                f"`frozen` must be True or False. Received: frozen={frozen!r}. "
                "For the last blocks alone use `unfreeze(last_n=...)`."
            )
        if frozen and unfrozen_last_n is not None:
            raise ValueError(
                "`unfrozen_last_n` must be None when `frozen=True`. "
                f"Received: unfrozen_last_n={unfrozen_last_n!r}. Pass `frozen=False` with it."
            )
        self._frozen = frozen
        self._unfrozen_last_n = unfrozen_last_n
        self.preset = preset

    @property
    def frozen(self):
        """Whether no weight learns and the network runs in inference mode."""
        return self._frozen

    @property
    def unfrozen_last_n(self):
        """How many blocks at the end learn; None if all or (when frozen) none do."""
        return self._unfrozen_last_n

    @property
    def num_blocks(self):
        """How many blocks `unfreeze(last_n=...)` counts; 0 if they are not known."""
        return len(self._split_blocks()[0])

    @property
    def output_dim(self):
        """Number of channels D of tokens and pooled."""
        raise NotImplementedError

    def freeze(self):
        """Stops all learning and switches to inference mode.

        Weights that were free to learn are not the preset's any more: `preset` becomes None then.
        """
        if not self._frozen:
            self.preset = None
        self._frozen, self._unfrozen_last_n = True, None
        self.apply_state()

    def unfreeze(self, last_n=None):
        """Lets weights learn: all of them, or the last blocks and what follows them.

        Args:
            last_n: int, number of blocks from the end (transformer layers, residual blocks), or
                None for everything.

        Raises:
            ValueError: `last_n` is not between 1 and `num_blocks`, or no blocks are known.
        """
        self._check_last_n("last_n", last_n)
        self._frozen, self._unfrozen_last_n = False, last_n
        self.apply_state()

    def digest(self):
        """SHA-256 (hex) over class, architecture and every weight's shape, dtype and bytes.

        Equal for equal networks, wherever they were loaded from and whatever may learn; different
        as soon as one bit of one weight differs.
        """
        return freezing.digest(type(self).__name__, self._fingerprint(), self.weights)

    @property
    def trainable(self):
        """Keras's flag. False stops learning; True brings back the encoder's own state."""
        return self._trainable

    @trainable.setter
    def trainable(self, value):
        keras.layers.Layer.trainable.fset(self, value)
        self.apply_state()

    def apply_state(self):
        """Sets the flags of all inner layers to the encoder's state.

        Raises:
            ValueError: `unfrozen_last_n` does not fit the network.
            RuntimeError: a weight would still learn though the encoder is frozen.
        """
        chosen = self._learning_layers()
        for layer in freezing.children(self):
            freezing.set_trainable(layer, chosen, never=self._unread_layers)
        left = [weight.path for weight in self.weights if weight.trainable]
        if not chosen and left:
            raise RuntimeError(
                "A frozen encoder must have no trainable weights. "
                f"Received: {len(left)} of them, the first is {left[0]!r}. "
                "A layer inside ignores its `trainable` flag."
            )

    def get_config(self):
        return {
            **super().get_config(),
            "frozen": self.frozen,
            "unfrozen_last_n": self.unfrozen_last_n,
            "preset": self.preset,
        }

    def _split_blocks(self):
        """(blocks, tail): lists of layers, see `freezing.split_blocks`."""
        raise NotImplementedError

    def _fingerprint(self):
        """What besides the weights decides the outputs, as JSON values."""
        raise NotImplementedError

    def _learning_layers(self):
        if self._frozen or not self.trainable:
            return []
        if self._unfrozen_last_n is None:
            return freezing.children(self)
        self._check_last_n("unfrozen_last_n", self._unfrozen_last_n)
        blocks, tail = self._split_blocks()
        return [layer for block in blocks[-self._unfrozen_last_n :] for layer in block] + tail

    def _check_last_n(self, name, value):
        if value is None:
            return
        count = self.num_blocks
        if count == 0:
            raise ValueError(
                f"`{name}` must be None for a network without recognised blocks. "
                f"Received: {name}={value!r}. Use `unfreeze()` for all of it."
            )
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= count:
            raise ValueError(
                f"`{name}` must be an integer between 1 and the number of blocks ({count}), or "
                f"None for all. Received: {name}={value!r}. To stop learning use `freeze()`."
            )


def output_spec(shapes):
    """Symbolic encoder outputs: float32, the mask int32."""
    return {
        name: keras.KerasTensor(shape, "int32" if name == "mask" else "float32")
        for name, shape in shapes.items()
    }
