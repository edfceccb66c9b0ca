"""Small encoders of every kind, with inputs for them and ways to compare their weights."""

import functools

import keras
import keras_hub
import numpy as np
import tensorflow as tf

from tatl_keras import encoders

RESNET = dict(
    input_conv_filters=[64],
    input_conv_kernel_sizes=[7],
    stackwise_num_filters=[64, 3],
    stackwise_num_blocks=[1, 2],
    stackwise_num_strides=[1, 2],
    block_type="basic_block",
)
TRANSFORMER = dict(
    vocabulary_size=31, num_layers=3, num_heads=2, hidden_dim=14, intermediate_dim=22, dropout=0.3
)


def resnet(**kwargs):
    return encoders.ImageEncoder(keras_hub.models.ResNetBackbone(**RESNET), **kwargs)


def sasa(stem, **kwargs):
    config = dict(stem_filters=8, kernel_size=3, num_heads=2, image_shape=(32, 32, 3))
    backbone = encoders.SASAResNet([8, 16], [1, 2], stem=stem, **config)
    return encoders.ImageEncoder(backbone, **kwargs)


def distil_bert(**kwargs):
    backbone = keras_hub.models.DistilBertBackbone(**TRANSFORMER, max_sequence_length=19)
    return encoders.TransformerTextEncoder(backbone, **kwargs)


def lstm(**kwargs):
    return encoders.LSTMTextEncoder(31, embedding_dim=5, units=3, dropout=0.3, **kwargs)


def embed(**kwargs):
    return encoders.BagOfEmbeddings(31, embedding_dim=5, **kwargs)


def transformer(**kwargs):
    sizes = dict(hidden_dim=6, num_layers=2, num_heads=2, intermediate_dim=11, dropout=0.3)
    return encoders.TextTransformer(31, **sizes, **kwargs)


IMAGE = {
    "test_image": lambda **kwargs: encoders.build_image("test_image", **kwargs)[0],
    "test_vit": lambda **kwargs: encoders.build_image("test_vit", **kwargs)[0],
    "test_sasa": lambda **kwargs: sasa("conv", **kwargs),
    "test_sasa_full": lambda **kwargs: sasa("attention", **kwargs),
    "resnet": resnet,
    "test_clip": lambda **kwargs: encoders.build_image("test_clip", **kwargs)[0],
    "test_siglip": lambda **kwargs: encoders.build_image("test_siglip", **kwargs)[0],
}
TEXT = {
    "test_text": lambda **kwargs: encoders.build_text("test_text", **kwargs)[0],
    "distil_bert": distil_bert,
    "lstm": lstm,
    "embed": embed,
    "transformer": transformer,
    "test_clip_text": lambda **kwargs: encoders.build_text("test_clip_text", **kwargs)[0],
    "test_siglip_text": lambda **kwargs: encoders.build_text("test_siglip_text", **kwargs)[0],
}
ALL = {**IMAGE, **TEXT}
# name → (tokens, channels) of what `inputs_of` gives.
SIZES = {
    "test_image": (16, 24),
    "test_vit": (16, 16),
    "test_sasa": (16, 64),
    "test_sasa_full": (16, 64),
    "resnet": (16, 3),
    "test_text": (7, 16),
    "distil_bert": (7, 14),
    "lstm": (7, 6),
    "embed": (7, 5),
    "transformer": (7, 6),
    "test_clip": (16, 12),
    "test_clip_text": (7, 12),
    "test_siglip": (16, 12),
    "test_siglip_text": (7, 12),
}


@functools.cache
def ready(name):
    """An encoder that several tests share: for calls only, never to be changed."""
    return ALL[name]()


def inputs_of(name, seed=0):
    """Three pictures, or three texts of 7, 3 and 0 tokens."""
    rng = np.random.default_rng(seed)
    if name in IMAGE:
        return rng.uniform(-1, 1, (3, 32, 32, 3)).astype("float32")
    mask = (np.arange(7) < np.array([[7], [3], [0]])).astype("int32")
    return {"token_ids": rng.integers(1, 31, (3, 7)).astype("int32"), "padding_mask": mask}


def symbolic_inputs_of(name):
    if name in IMAGE:
        return keras.Input((32, 32, 3), name="images")
    return {
        key: keras.Input((None,), dtype="int32", name=key) for key in ("token_ids", "padding_mask")
    }


def model_of(name, encoder, run_eagerly=True):
    """encoder → dense layer on pooled, compiled. Eager steps spare the tracing of each model."""
    inputs = symbolic_inputs_of(name)
    logits = keras.layers.Dense(2, name="head")(encoder(inputs)["pooled"])
    model = keras.Model(inputs, logits)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, run_eagerly=run_eagerly)
    return model


def values(layer):
    """Copies of all weights, moving statistics too, by index and path."""
    return {(i, w.path): w.numpy().copy() for i, w in enumerate(layer.weights)}


def changed(before, layer):
    """Paths of the weights whose bits differ from `before`."""
    return {
        path
        for (key, old), new in zip(before.items(), layer.weights, strict=True)
        for path in [key[1]]
        if old.tobytes() != new.numpy().tobytes()
    }


def eagerly(preprocessor, **raw):
    """What a preprocessor gives; tracing the graph of some tokenizers takes seconds."""
    return preprocessor.tensors({name: tf.constant(value) for name, value in raw.items()})
