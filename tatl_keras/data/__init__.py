"""From files to examples: manifests, folders and TFDS data sets as `tf.data`, and what models take.

    train, test = data.load("pets.csv")
    train, test = data.load_pairs("sentences.csv", text="en", target="de")
"""

from tatl_keras.data import synthetic
from tatl_keras.data.emoji_names import emoji_pairs
from tatl_keras.data.images import decode_image
from tatl_keras.data.loading import load
from tatl_keras.data.pairs import load_pairs
from tatl_keras.data.preprocessing import Preprocessor
from tatl_keras.data.prompts import prompt_ensemble

__all__ = [
    "Preprocessor",
    "decode_image",
    "emoji_pairs",
    "load",
    "load_pairs",
    "prompt_ensemble",
    "synthetic",
]
