"""References as a model could write them."""

import types

import keras_hub
import pytest
import tensorflow as tf

from tatl_keras.data.detokenize import texts_of
from tatl_keras.training.text_measurement import as_written

TEXT = " Straße  İstanbul \t ﬁne ÀÉ ΑΣ½ "
RESERVED = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({"lowercase": False, "strip_accents": False}, "Straße İstanbul ﬁne ÀÉ ΑΣ½"),
        ({"lowercase": False, "strip_accents": True}, "Straße Istanbul ﬁne AE ΑΣ½"),
        ({"lowercase": True, "strip_accents": False}, "strasse i̇stanbul fine àé ασ1⁄2"),
        ({"lowercase": True, "strip_accents": True}, "strasse istanbul fine ae ασ1⁄2"),
    ],
    ids=str,
)
def test_references_are_what_the_tokenizer_makes_of_them(options, written):
    tokenizer = keras_hub.models.BertTokenizer([*RESERVED, *written.split()], **options)
    model = types.SimpleNamespace(target_preprocessor=types.SimpleNamespace(tokenizer=tokenizer))
    assert as_written(model, [TEXT, ""]) == [written, ""]
    found = texts_of(tokenizer, tf.constant(tokenizer([TEXT])))
    assert found.numpy()[0].decode() == written
