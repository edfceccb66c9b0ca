"""The two pretrained encoders that the repository carries, loaded once."""

import numpy as np
import pytest

from tatl_keras import encoders


@pytest.fixture(scope="session")
def lite0():
    return encoders.build_image("efficientnet_lite0")


@pytest.fixture(scope="session")
def minilm():
    return encoders.build_text("minilm")


@pytest.fixture(scope="session")
def tokenize(minilm):
    """Texts to padded inputs with [CLS] and [SEP], by hand."""
    tokenizer = minilm[1]

    def pack(texts, length=16):
        ids = np.zeros((len(texts), length), "int32")
        for row, text in zip(ids, texts, strict=True):
            pieces = [101, *(int(i) for i in tokenizer(text)), 102]
            row[: len(pieces)] = pieces
        return {"token_ids": ids, "padding_mask": (ids != 0).astype("int32")}

    return pack
