"""Small models that write, for tests of what they write."""

import keras
import keras_hub
import numpy as np

from tatl_keras import data, encoders, models, zoo

WORDS = "abcdefgh"
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]


def tokenizer():
    """A vocabulary of one piece for each of a few words."""
    return keras_hub.models.BertTokenizer(PIECES, lowercase=True)


def sentences(count, seed=0, longest=5):
    """Random sentences of one to `longest` words."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice([*WORDS], rng.integers(1, longest + 1))) for _ in range(count)]


def reversal(count, seed=0):
    """Sentences, and the same from the last word to the first."""
    texts = sentences(count, seed)
    return {"text": texts, "target": [" ".join(text.split()[::-1]) for text in texts]}


def translator(decoder="transformer", **arguments):
    """A small translator with a known vocabulary, not trained."""
    sizes = {"hidden_dim": 32, "dropout": 0.0}
    return zoo.compose_translator(
        text="lstm", decoder=decoder, encoder_arguments={"units": 32, "embedding_dim": 32},
        tokenizer=tokenizer(), target_tokenizer=tokenizer(), sequence_length=8, seed=3,
        **(sizes | ({"num_layers": 1, "num_heads": 2} if decoder == "transformer" else {})),
        **arguments,
    )  # fmt: skip


def captioner(decoder="transformer", rows=6, **arguments):
    """A small captioner after one step on `rows` pictures, and these examples; it runs eagerly."""
    examples = captions(rows)
    model = zoo.build(f"test_efficientnet_{decoder}_caption", seed=5, **arguments)
    model.compile(run_eagerly=True)
    keras.utils.set_random_seed(1)
    model.fit(examples, batch_size=rows, verbose=0)
    return model, examples


def captions(rows):
    """Pictures with a few words each."""
    found = data.synthetic.examples(3, rows, seed=2).map(lambda x, y: x["image"])
    texts = sentences(rows, seed=4)
    return {"image": [image.numpy() for image in found], "text": texts}


def scramble(model, seed=4):
    """Weights so large that what a model writes differs from row to row."""
    rng = np.random.default_rng(seed)
    for weight in model.encoders[next(iter(model.encoders))].trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    rng = np.random.default_rng(seed)
    for weight in model.decoder.trainable_weights:
        weight.assign(rng.normal(size=weight.shape) * 0.5)
    return model


def features(rows=3, length=7, dim=5, seed=0):
    """Random memory, with a mask."""
    rng = np.random.default_rng(seed)
    mask = np.ones((rows, length), "int32")
    mask[0, 4:] = 0
    return rng.normal(size=(rows, length, dim)).astype("float32"), mask


def random_captioner(decoder, backward_decoder=None, memory_dim=5):
    """A captioner with random weights for features of `memory_dim` channels."""
    pictures = keras.Input((8, 8, 3))
    regions = keras.layers.Conv2D(memory_dim, 2, strides=4)(pictures)
    encoder = encoders.ImageEncoder(keras.Model(pictures, regions))
    converter = keras_hub.layers.ImageConverter(image_size=(8, 8))
    preprocessor = data.Preprocessor(converter, tokenizer(), 8)
    return models.Captioner(
        encoder, decoder, preprocessor=preprocessor, backward_decoder=backward_decoder
    )
