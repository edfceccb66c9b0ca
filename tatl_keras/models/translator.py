"""The model that translates texts."""

import keras

from tatl_keras.models.text_generator import TextGenerator


@keras.saving.register_keras_serializable(package="tatl_keras")
class Translator(TextGenerator):
    """Writes a text as another text, a translation say, from the tokens of a text encoder.

        memory = text_encoder(token_ids, padding_mask)            (B, S, Dt), S source tokens
        logits = decoder(target token_ids, memory)                (B, T, V)

    Examples have the key "text" for the source and "target" for what is to be written. A source
    that is missing has no memory: it teaches what targets are like, and its own is "".

    Args:
        text_encoder: a text encoder of `tatl_keras.encoders`, frozen or not.
        decoder: a `Decoder`: `TransformerDecoder`, or `LSTMDecoder` (Bahdanau et al.).
        preprocessor: a `data.Preprocessor` of the source.
        target_preprocessor: a `data.Preprocessor` of the target, whose `sequence_length` counts
            start and end. Vocabularies are learned by `fit` where there are none.
        compile: bool, compile with the defaults of `compile`.

    Call arguments:
        inputs: dict of the source's `padding_mask` (B, S) and `source_ids` (B, S), or of features
            `text_tokens` (B, S, Dt) and `text_mask` (B, S); and of the target's `token_ids` (B, T).
        training: bool.

    Returns:
        Logits (B, T, V), float32.

    Raises:
        ValueError: decoder and tokenizer do not fit; see also `fit` and `generate`.

    Example:

    >>> from tatl_keras import zoo
    >>> model = zoo.build("test_transformer_translate", seed=1)
    >>> pairs = {"text": ["a b c", "b c"], "target": ["c b a", "c b"]}
    >>> history = model.fit(pairs, epochs=1, verbose=0)
    >>> len(model.generate({"text": ["c a"]}))
    1

    References: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; Bahdanau et al., "Neural
    Machine Translation by Jointly Learning to Align and Translate", 2015,
    https://arxiv.org/abs/1409.0473.
    """

    _parts = ("text_encoder", "decoder", "preprocessor", "target_preprocessor")

    def __init__(
        self, text_encoder, decoder, *, preprocessor, target_preprocessor, compile=True, **kwargs
    ):
        super().__init__(
            {"text": text_encoder},
            decoder,
            target="target",
            preprocessor=preprocessor,
            target_preprocessor=target_preprocessor,
            compile=compile,
            **kwargs,
        )
