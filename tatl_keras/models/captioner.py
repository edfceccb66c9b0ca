"""The model that writes about pictures."""

import keras

from tatl_keras.models.text_generator import TextGenerator


@keras.saving.register_keras_serializable(package="tatl_keras")
class Captioner(TextGenerator):
    """Writes a caption about a picture, from the tokens of a frozen image encoder.

        memory = image_encoder(images)                            (B, S, Di), S regions
        logits = decoder(token_ids, memory)                       (B, T, V)

    With `backward_decoder`, that one learns to write the same caption from its last word to its
    first, from the same memory (bicaptioning): an image encoder that learns is told more by each
    caption. `generate` uses `decoder` alone.

    A picture that is missing has no memory: it teaches what captions are like, and its own is "".
    In an export the same goes for one that cannot be read, whose row is flagged.

    Args:
        image_encoder: an image encoder of `tatl_keras.encoders`.
        decoder: a `Decoder`: `TransformerDecoder`, or `LSTMDecoder` (Show, Attend and Tell).
        preprocessor: a `data.Preprocessor` with converter and tokenizer, whose `sequence_length`
            is that of captions, start and end included. Its vocabulary is learned by `fit` where
            there is none.
        backward_decoder: a further `Decoder` of the same vocabulary, or None.
        compile: bool, compile with the defaults of `compile`.

    Call arguments:
        inputs: dict of `images` (B, H, W, 3) and `has_image` (B,), or of features `image_tokens`
            (B, S, Di) and `image_mask` (B, S); and of `token_ids` (B, T), with a backward decoder
            (B, 2, T).
        training: bool.

    Returns:
        Logits (B, T, V), float32; with a backward decoder (B, 2, T, V).

    Raises:
        ValueError: decoder and tokenizer, or both decoders, do not fit; see also `fit` and
            `generate`.

    Example:

    >>> from tatl_keras import data, zoo
    >>> model = zoo.build("test_efficientnet_transformer_caption", seed=1)
    >>> examples = data.synthetic.examples(3, 30, seed=0)
    >>> history = model.fit(examples, epochs=1, feature_cache="memory", verbose=0)
    >>> len(model.generate(examples.take(2)))
    2

    References: Xu et al., "Show, Attend and Tell", 2015, https://arxiv.org/abs/1502.03044; Desai
    and Johnson, "VirTex", 2021, https://arxiv.org/abs/2006.06666.
    """

    _parts = ("image_encoder", "decoder", "backward_decoder", "preprocessor")

    def __init__(
        self,
        image_encoder,
        decoder,
        *,
        preprocessor,
        backward_decoder=None,
        compile=True,
        **kwargs,
    ):
        super().__init__(
            {"image": image_encoder},
            decoder,
            backward_decoder=backward_decoder,
            target="text",
            preprocessor=preprocessor,
            target_preprocessor=preprocessor,
            compile=compile,
            **kwargs,
        )
