"""What the towers of CLIP and SigLIP have in common."""

import inspect

import keras

from tatl_keras.encoders.functional import FunctionalBackbone


class Tower(FunctionalBackbone):
    """One half of a model of pictures and texts: a transformer of KerasHub into a common space.

    A subclass names the `kind` of its inputs and the KerasHub model it is half of (`whole`), and
    says in `halve` which of the model's parts it consists of.

    Args:
        encoder: the KerasHub encoder that the tower is made of.
        inputs, outputs: of the functional model.
        arguments: dict of what the subclass's constructor takes, `dtype` aside, as JSON values;
            each becomes an attribute.
        dtype: dtype policy.
        **kwargs: `name`, `trainable`.
    """

    kind: str
    whole: type

    def __init__(self, encoder, inputs, outputs, arguments, dtype, **kwargs):
        super().__init__(inputs, outputs, arguments, dtype, **kwargs)
        self.transformer_layers = encoder.encoder_layers
        for name, value in arguments.items():
            setattr(self, name, value)

    @staticmethod
    def halve(backbone):
        """(layers, facts): the parts of a whole in the order of their weights, and arguments."""
        raise NotImplementedError

    @classmethod
    def from_backbone(cls, backbone):
        """The tower of a KerasHub model of class `whole`, with its weights.

        An argument of the constructor is what `halve` says, or the encoder's attribute of its name.
        """
        (encoder, *rest), facts = cls.halve(backbone)
        names = [name for name in inspect.signature(cls).parameters if hasattr(encoder, name)]
        found = {name: getattr(encoder, name) for name in names if name not in ("name", "dtype")}
        tower = cls(**found | facts, dtype=backbone.dtype_policy)
        tower.set_weights([weight for part in (encoder, *rest) for weight in part.get_weights()])
        return tower


def as_policy(dtype):
    """The dtype policy that `dtype` stands for; the global one for `None`."""
    return keras.dtype_policies.get(dtype or keras.config.dtype_policy())


def exponential(variable):
    """The exponential of a scalar variable, as a float."""
    return float(keras.ops.exp(keras.ops.cast(variable, "float32")))
