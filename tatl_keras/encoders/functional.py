"""Backbones of our own: functional models that Keras saves by their arguments."""

import keras


class FunctionalBackbone(keras.Model):
    """A functional model that is rebuilt from the arguments of its constructor.

    Args:
        inputs, outputs: of the functional model.
        arguments: dict of what a subclass's constructor takes, `dtype` aside, as JSON values.
        dtype: dtype policy.
        **kwargs: `name`, `trainable`.
    """

    def __init__(self, inputs, outputs, arguments, dtype, **kwargs):
        super().__init__(inputs, outputs, dtype=dtype, **kwargs)
        self._arguments = arguments

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            **self._arguments,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        if isinstance(config.get("dtype"), dict):
            config["dtype"] = keras.dtype_policies.deserialize(config["dtype"])
        return cls(**config)
