"""Networks of stand-alone self-attention, learned from scratch on pictures alone."""

from tatl_keras.zoo.compose import compose
from tatl_keras.zoo.registry import register

STEMS = {"conv": "", "attention": "_full"}


@register(image="sasa_resnet26", fusion="image_only")
def sasa_resnet26(num_classes, *, stem="conv", **kwargs):
    """ResNet-26 with local self-attention for every spatial convolution, learned from scratch."""
    return _sasa("sasa_resnet26", stem, num_classes, kwargs)


@register(image="sasa_resnet38", fusion="image_only")
def sasa_resnet38(num_classes, *, stem="conv", **kwargs):
    """ResNet-38 with local self-attention for every spatial convolution, learned from scratch."""
    return _sasa("sasa_resnet38", stem, num_classes, kwargs)


@register(image="sasa_resnet50", fusion="image_only")
def sasa_resnet50(num_classes, *, stem="conv", **kwargs):
    """ResNet-50 with local self-attention for every spatial convolution, learned from scratch."""
    return _sasa("sasa_resnet50", stem, num_classes, kwargs)


@register(image="test_sasa", fusion="image_only")
def test_sasa(num_classes, *, stem="conv", **kwargs):
    """A tiny network of local self-attention, learned from scratch."""
    return _sasa("test_sasa", stem, num_classes, kwargs)


def _sasa(name, stem, num_classes, arguments):
    """`compose` with the encoder `name`, whose stem is a convolution or attention."""
    if stem not in STEMS:
        raise ValueError(
            f"`stem` must be one of {', '.join(map(repr, STEMS))}. Received: stem={stem!r}. "
            '"attention" makes a network without any spatial convolution.'
        )
    parts = {"name": name, "image": name + STEMS[stem], "fusion": "image_only"}
    return compose(num_classes, **parts | arguments)
