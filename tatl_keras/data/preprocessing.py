"""Raw examples to the dense tensors a model takes, on the host."""

import keras
import keras_hub
import tensorflow as tf

from tatl_keras.data.epoch_order import EpochOrder
from tatl_keras.data.images import decode_image, flatten_alpha
from tatl_keras.data.tokenizers import has_vocabulary, pieces, start_and_end

_RESERVED_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHARACTERS_PER_TOKEN = 32
_LEAST_COUNT = 10  # of pieces, for the learner of WordPieces


@keras.saving.register_keras_serializable(package="tatl_keras")
class Preprocessor(keras_hub.models.Preprocessor):
    """Decodes, resizes and normalises pictures; tokenises text; marks what is missing.

    The same graph code runs in `tf.data` while training and inside the exported SavedModel. Only
    dense float and int32 tensors come out:

        images        (B, H, W, 3)  float32   what `image_converter` makes of the pixels
        has_image     (B,)          int32     0 where the picture was empty; its `images` are zeros
        token_ids     (B, L)        int32     [CLS] pieces… [SEP] [PAD]…, cut to `sequence_length`
        padding_mask  (B, L)        int32     1 = real token; all 0 where there is no text
        has_text      (B,)          int32     0 where the text was empty or blank

    Shape letters: B batch, H, W picture, L = `sequence_length`.

    Args:
        image_converter: a `keras_hub.layers.ImageConverter` with an `image_size`, or `None` for a
            model that takes no pictures.
        tokenizer: a WordPiece tokenizer of KerasHub (`BertTokenizer`, `DistilBertTokenizer`), with
            or without a vocabulary (`adapt` learns one); a `SigLIPTokenizer`; a `CLIPTokenizer`,
            with which a model cannot be exported; or `None` for a model that takes no text.
        sequence_length: int ≥ 3, tokens per text, [CLS] and [SEP] included. Defaults to 64.

    Call arguments:
        x: dict with `"image"` (encoded bytes, as a string tensor, or `uint8`/float pixels from 0 to
            255, `(H, W, C)` each) and `"text"` (string tensor), single or batched. A key that is
            absent counts as missing in every row.
        y: optional labels, handed through.
        sample_weight: optional weights, handed through.

    Returns:
        The dict above, or `(x, y)`, `(x, y, sample_weight)` when these are given. Single examples
        come back without the batch axis.

    Raises:
        ValueError: `sequence_length` is under 3; the tokenizer has no vocabulary yet; `x` has
            neither `"image"` nor `"text"`.

    Example:

    >>> import keras_hub
    >>> preprocessor = Preprocessor(
    ...     keras_hub.layers.ImageConverter(image_size=(8, 8), scale=1 / 255),
    ...     keras_hub.models.BertTokenizer(
    ...         ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "cat"]),
    ...     sequence_length=6,
    ... )
    >>> out = preprocessor({"image": [b""], "text": ["red cat"]})
    >>> out["images"].shape.as_list(), out["has_image"].numpy().tolist()
    ([1, 8, 8, 3], [0])
    >>> out["token_ids"].numpy().tolist(), out["padding_mask"].numpy().tolist()
    ([[2, 5, 6, 3, 0, 0]], [[1, 1, 1, 1, 0, 0]])
    """

    def __init__(self, image_converter=None, tokenizer=None, sequence_length=64, **kwargs):
        super().__init__(**kwargs)
        if sequence_length < 3:
            raise ValueError(
                "`sequence_length` must be at least 3 ([CLS], one token, [SEP]). "
                f"Received: sequence_length={sequence_length}"
            )
        self.image_converter = image_converter
        self.tokenizer = tokenizer
        self.sequence_length = sequence_length
        self._compiled = {}

    def build(self, input_shape=None):
        self.built = True

    @property
    def needs_vocabulary(self):
        """`True` while the tokenizer's vocabulary has still to be learned from text."""
        return self.tokenizer is not None and not has_vocabulary(self.tokenizer)

    def adapt(self, texts, vocabulary_size, least_count=_LEAST_COUNT):
        """Learns a WordPiece vocabulary from training text.

        Args:
            texts: a `tf.data.Dataset` of scalar strings.
            vocabulary_size: int, the largest number of pieces, reserved tokens included.
            least_count: int from 1 to 10, how often a piece of several characters must be there.

        Raises:
            ValueError: there is no word in `texts`.
        """
        clean = texts.map(self._clean_text).filter(lambda text: tf.strings.length(text) > 0)
        clean = clean.repeat(-(-_LEAST_COUNT // least_count))  # the learner's own limit is fixed
        vocabulary = []
        if any(True for _ in clean.take(1)):
            vocabulary = keras_hub.tokenizers.compute_word_piece_vocabulary(
                clean.batch(256),
                vocabulary_size,
                lowercase=self.tokenizer.lowercase,
                strip_accents=self.tokenizer.strip_accents,
                reserved_tokens=_RESERVED_TOKENS,
            )
        if len(vocabulary) <= len(_RESERVED_TOKENS):
            raise ValueError(
                "`texts` must hold at least one word to learn a vocabulary from. Received: "
                "texts=only empty strings. Use an image-only model, or a text preset."
            )
        self.tokenizer.set_vocabulary(vocabulary)
        self._compiled = {}

    def call(self, x, y=None, sample_weight=None):
        x = {key: tf.convert_to_tensor(x[key]) for key in ("image", "text") if key in x}
        kinds = tuple((key, value.dtype, value.shape.rank) for key, value in x.items())
        if kinds not in self._compiled:  # one graph for all sizes
            spec = {key: tf.TensorSpec([None] * rank, dtype) for key, dtype, rank in kinds}
            self._compiled[kinds] = tf.function(self.tensors, input_signature=[spec])
        return keras.utils.pack_x_y_sample_weight(self._compiled[kinds](x), y, sample_weight)

    def tensors(self, x, modalities=("image", "text")):
        """The graph itself: a dict of raw tensors in, a dict of dense tensors out.

        Args:
            x: dict of raw tensors.
            modalities: what to prepare, as far as there are a converter and a tokenizer for it.
        """
        if "image" not in x and "text" not in x:
            raise ValueError(
                '`x` must be a dict with "image", "text" or both. '
                f"Received: x with keys {sorted(x)}"
            )
        like = x["text"] if "text" in x else x["image"]
        shape = tf.shape(like)[: 1 if _is_batched(x) else 0]
        outputs = {}
        if self.image_converter is not None and "image" in modalities:
            outputs |= self.image_tensors(x.get("image", tf.fill(shape, "")))
        if self.tokenizer is not None and "text" in modalities:
            outputs |= self.text_tensors(x.get("text", tf.fill(shape, "")))
        return outputs

    def image_tensors(self, image, augmentation=None):
        """`images` and `has_image` for one picture or a batch; augmented before the converter."""
        if image.dtype != tf.string:
            return self._pixel_tensors(image, augmentation)
        if image.shape.rank == 0:
            present = tf.strings.length(image) > 0
            convert = lambda: self._convert(decode_image(image), augmentation)  # noqa: E731
            pixels = tf.cond(present, convert, self._no_image)
            return {"images": pixels, "has_image": tf.cast(present, tf.int32)}
        signature = {
            "images": tf.TensorSpec((*self.image_converter.image_size, 3), tf.float32),
            "has_image": tf.TensorSpec((), tf.int32),
        }
        return tf.map_fn(
            lambda one: self.image_tensors(one, augmentation), image, fn_output_signature=signature
        )

    def text_tensors(self, text):
        """`token_ids`, `padding_mask` and `has_text` for one text or a batch of them."""
        self._check_vocabulary()
        if text.shape.rank == 0:
            batch = self.text_tensors(text[tf.newaxis])
            return {name: value[0] for name, value in batch.items()}
        text = self._clean_text(text)
        has_text = tf.strings.length(text) > 0
        start, end = start_and_end(self.tokenizer)
        pack = keras_hub.layers.StartEndPacker(
            self.sequence_length,
            start_value=start,
            end_value=end,
            pad_value=self.tokenizer.pad_token_id,
            return_padding_mask=True,
        )
        token_ids, padding_mask = pack(pieces(self.tokenizer, text))
        return {
            "token_ids": tf.ensure_shape(token_ids, [None, self.sequence_length]),
            "padding_mask": tf.cast(padding_mask & has_text[:, tf.newaxis], tf.int32),
            "has_text": tf.cast(has_text, tf.int32),
        }

    def dataset(
        self, examples, batch_size, shuffle=False, seed=None, modalities=("image", "text")
    ):  # fmt: skip
        """Preprocesses a `tf.data.Dataset` of `x`, `(x, y)` or `(x, y, sample_weight)`.

        Single examples are decoded in parallel, shuffled over all of them when asked, and batched.
        A dataset that comes in batches keeps its batches and its order.

        Args:
            examples: dataset of raw examples, single or batched.
            batch_size: int, global batch size for single examples.
            shuffle: bool, draw a new order each time the dataset is read.
            seed: int or `None`, of the order; or an `EpochOrder`.
            modalities: as in `tensors`.

        Returns:
            A batched dataset of `(x, y, sample_weight)` shaped as `examples` was.
        """
        self._check_vocabulary()
        spec = keras.utils.unpack_x_y_sample_weight(examples.element_spec)[0]
        if _is_batched(spec):
            batches = examples.map(_on_x(self.tensors, modalities), tf.data.AUTOTUNE)
            return batches.prefetch(tf.data.AUTOTUNE)
        if shuffle:  # raw examples are shuffled: file names and encoded bytes are small
            order = EpochOrder.get(seed)
            examples = order.shuffle(examples, cardinality(examples))
        if self.image_converter is not None and "image" in spec and "image" in modalities:
            examples = examples.map(_on_x(self._decode_one), tf.data.AUTOTUNE)
        examples = examples.batch(batch_size)
        batches = examples.map(_on_x(self._finish_batch, modalities), tf.data.AUTOTUNE)
        return batches.prefetch(tf.data.AUTOTUNE)

    def _decode_one(self, x):
        rest = {key: value for key, value in x.items() if key == "text"}
        return rest | self.image_tensors(x["image"])

    def _finish_batch(self, x, modalities):
        """Adds what `_decode_one` left out: the text's tensors, or those of absent modalities."""
        decoded = {key: x[key] for key in ("images", "has_image") if key in x}
        rows = tf.shape(next(iter(x.values())))[:1]
        if self.image_converter is not None and not decoded and "image" in modalities:
            decoded = self.image_tensors(tf.fill(rows, ""))
        if self.tokenizer is not None and "text" in modalities:
            decoded |= self.text_tensors(x.get("text", tf.fill(rows, "")))
        return decoded

    def _convert(self, pixels, augmentation=None):
        pixels = tf.cast(pixels, tf.float32)
        if augmentation is not None:
            pixels = augmentation(pixels, training=True)
        image = self.image_converter(pixels)
        return tf.ensure_shape(tf.cast(image, tf.float32), (*self.image_converter.image_size, 3))

    def _no_image(self):
        return tf.zeros((*self.image_converter.image_size, 3), tf.float32)

    def _pixel_tensors(self, pixels, augmentation):
        if pixels.shape.rank == 4:
            images = tf.map_fn(
                lambda one: self._convert(flatten_alpha(one), augmentation),
                pixels,
                fn_output_signature=tf.TensorSpec(
                    (*self.image_converter.image_size, 3), tf.float32
                ),
            )
            return {"images": images, "has_image": tf.ones(tf.shape(pixels)[:1], tf.int32)}
        image = self._convert(flatten_alpha(pixels), augmentation)
        return {"images": image, "has_image": tf.ones((), tf.int32)}

    def _clean_text(self, text):
        text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
        text = tf.strings.regex_replace(text, r"[\x00-\x1f\x7f]", " ")  # NUL would end the text
        longest = self.sequence_length * CHARACTERS_PER_TOKEN
        return tf.strings.strip(tf.strings.substr(text, 0, longest, unit="UTF8_CHAR"))

    def _check_vocabulary(self):
        if self.needs_vocabulary:
            raise ValueError(
                "`tokenizer` must have a vocabulary before text can be tokenised. Received: "
                "tokenizer without one. Call `fit`, which learns it from texts, or `adapt`."
            )

    def get_config(self):
        return super().get_config() | {"sequence_length": self.sequence_length}


def _is_batched(x):
    """Whether a dict of tensors or specs holds batches: strings of rank 1, or pixels of rank 4."""
    single_rank = {"image": 0 if "image" in x and x["image"].dtype == tf.string else 3, "text": 0}
    return any(x[key].shape.rank > rank for key, rank in single_rank.items() if key in x)


def _on_x(function, *arguments):
    """Lifts a function of `x` to elements `x`, `(x, y)` and `(x, y, sample_weight)`."""

    def apply(x, y=None, sample_weight=None):
        return keras.utils.pack_x_y_sample_weight(function(x, *arguments), y, sample_weight)

    return apply


def cardinality(dataset):
    """Number of elements; counted by reading them where the dataset does not say."""
    known = int(dataset.cardinality())
    if known == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "`examples` must be finite to be shuffled. Received: an infinite dataset. "
            "Leave out `repeat()`, or batch and shuffle it yourself."
        )
    if known >= 0:
        return max(known, 1)
    return max(int(dataset.reduce(0, lambda count, *_: count + 1)), 1)
