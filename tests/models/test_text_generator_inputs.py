"""What models that write refuse, and what of their examples they leave out."""

import keras
import keras_hub
import numpy as np
import pytest
import sentencepiece
import tensorflow as tf

from tatl_keras import data, encoders, models, zoo
from tatl_keras.data.detokenize import texts_of
from tatl_keras.models.targets import target_batches
from tests.models import writers


@pytest.fixture(scope="module")
def translator():
    model = writers.translator()
    model.compile(run_eagerly=True)
    return model


def test_labels_are_refused(translator):
    with pytest.raises(ValueError, match="`y` must be None.*y of type list"):
        translator.fit(writers.reversal(2), [0, 1])
    with pytest.raises(ValueError, match="`y` must be None"):
        translator.evaluate(writers.reversal(2), [0, 1])


def test_examples_without_a_target_are_refused(translator):
    with pytest.raises(ValueError, match=r"must hold 'text' and 'target'. Received: x with \['tex"):
        translator.fit({"text": ["a b"]})
    with pytest.raises(ValueError, match=r"must hold texts to learn from. Received: 2 examples"):
        translator.fit({"text": ["a b", "b"], "target": ["", None]})


def test_sources_are_needed_to_write(translator):
    with pytest.raises(ValueError, match=r"must hold 'text'. Received: x with \['image'\]"):
        translator.generate({"image": [b""]})


def test_what_is_lost_of_source_and_target_is_said(translator, caplog):
    pairs = {"text": ["a", "q b", "", "d"], "target": ["a", "", "q a", " ".join("abcdefgh")]}
    with caplog.at_level("WARNING"):
        translator.fit(pairs, verbose=0)
    assert [record.getMessage() for record in caplog.records] == [
        "1 of 4 examples have nothing under 'text'.",
        "25.0 % of the tokens under 'text' are not in the vocabulary and stand for nothing.",
        "1 of 4 examples have nothing under 'target'.",
        "1 of 4 texts under 'target' are longer than sequence_length=8 tokens and are cut there.",
        # of a, q, a, and 7 that fit
        "10.0 % of the tokens under 'target' are not in the vocabulary and stand for nothing.",
    ]


@pytest.mark.parametrize("in_batches", [False, True])
def test_a_vocabulary_is_learned_from_one_look_at_the_pictures(in_batches):
    model, looked, examples = zoo.build("test_efficientnet_lstm_caption"), [], writers.captions(5)

    def look():
        for image, text in zip(examples["image"], examples["text"], strict=True):
            looked.append(text)
            yield {"image": image, "text": text}

    strings = dict.fromkeys(("image", "text"), tf.TensorSpec((), tf.string))
    dataset = tf.data.Dataset.from_generator(look, output_signature=strings)
    target_batches(model, dataset.batch(2) if in_batches else dataset, learn=True)
    assert looked == examples["text"]
    found = set(model.target_preprocessor.tokenizer.get_vocabulary())
    assert set("".join(looked).replace(" ", "")) <= found


def test_a_source_vocabulary_must_fit_its_encoder():
    model = writers.translator()
    encoder = encoders.build_text("lstm", vocabulary_size=9, units=3, embedding_dim=3)[0]
    parts = ("decoder", "preprocessor", "target_preprocessor")
    with pytest.raises(ValueError, match="`text_encoder` .* vocabulary_size=9, 13 tokens"):
        models.Translator(encoder, **{part: getattr(model, part) for part in parts})


def test_an_example_without_a_target_teaches_nothing():
    weights = []
    for rows in (slice(0, 2), slice(0, 3)):
        model = writers.translator()
        model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        pairs = {"text": ["a b", "c", "d d"][rows], "target": ["b a", "c", ""][rows]}
        model.fit(pairs, shuffle=False, verbose=0)
        weights.append([weight.numpy() for weight in model.trainable_weights])
    for first, second in zip(*weights, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.parametrize("length", [0, 8, 2.5])
def test_lengths_out_of_bounds(translator, length):
    with pytest.raises(ValueError, match=f"`max_length` must be .*max_length={length}"):
        translator.generate({"text": ["a"]}, max_length=length)


def test_a_vocabulary_must_be_there_and_fit():
    model = zoo.build("test_transformer_translate", seed=1)
    with pytest.raises(ValueError, match="must come after the vocabulary is learned"):
        model.generate({"text": ["a"]})
    decoder = models.TransformerDecoder(7, hidden_dim=4, num_heads=2, num_layers=1)
    with pytest.raises(ValueError, match="vocabulary_size=7, 13 tokens of the tokenizer"):
        writers.random_captioner(decoder)


def test_samplers_are_checked(translator):
    with pytest.raises(ValueError, match="bream"):
        translator.generate({"text": ["a"]}, sampler="bream")


def test_the_cache_needs_a_frozen_encoder(translator):
    with pytest.raises(ValueError, match="must be None when the encoder is not frozen"):
        translator.fit(writers.reversal(2), feature_cache="memory")


def test_freezing_needs_another_compile():
    model, examples = writers.captioner()
    model.image_encoder.unfreeze(last_n=1)
    with pytest.raises(ValueError, match="`compile` must be called again"):
        model.fit(examples, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"decoder": "gru"}, "decoder='gru'"),
        ({"decoder": 5}, "`decoder` must be one of .*, or a decoder. Received: decoder=5"),
        ({"hiden_dim": 3}, "hiden_dim=3. Did you mean `hidden_dim`"),
        ({"sequence_length": 2}, "sequence_length=2"),
        ({"hidden_dim": 0}, "hidden_dim=0"),
    ],
    ids=str,
)
def test_bad_parts(arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.compose_captioner(image="test_image", **arguments)


def test_entries_say_what_they_are_for():
    assert zoo.spec("resnet50_lstm_caption").task == "caption"
    assert zoo.spec("lstm_translate").decoder == "lstm"
    with pytest.raises(ValueError, match="num_classes=3 for 'test_lstm_translate'"):
        zoo.build("test_lstm_translate", 3)
    with pytest.raises(ValueError, match="num_classes=None for 'test_efficientnet_image_only'"):
        zoo.build("test_efficientnet_image_only")
    with pytest.raises(ValueError, match="task='write'"):
        zoo.list_models(task="write")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preprocessor": None}, "`preprocessor` must be a `data.Preprocessor`. .*=None"),
        ({"decoder": 5}, "`decoder` must be a `models.Decoder`. Received: decoder=5"),
        ({"backward_decoder": "lstm"}, "`backward_decoder` must be .* backward_decoder='lstm'"),
        (
            {"backward_decoder": models.LSTMDecoder(13, hidden_dim=4, max_length=5)},
            "`backward_decoder` must have at least 7 places.*backward_decoder with max_length=5",
        ),
        (
            {"backward_decoder": models.LSTMDecoder(9, hidden_dim=4)},
            "`backward_decoder` must have at least as many tokens .*vocabulary_size=9, 13 tokens",
        ),
    ],
)
def test_parts_are_checked_by_name(arguments, message):
    model = writers.random_captioner(models.LSTMDecoder(13, hidden_dim=4))
    parts = {name: getattr(model, name) for name in ("image_encoder", "decoder", "preprocessor")}
    with pytest.raises(ValueError, match=message):
        models.Captioner(**(parts | arguments))


def test_tokenizers_must_know_where_texts_start_and_end(tmp_path):
    ends = {"eos_id": 2, "eos_piece": "</s>", "user_defined_symbols": ["<pad>"]}
    siglip = keras_hub.models.SigLIPTokenizer(_sentence_pieces(tmp_path, pad_id=-1, **ends))
    for tokenizer in (siglip, keras_hub.models.CLIPTokenizer(), None):
        target = data.Preprocessor(None, tokenizer, 8)
        model = writers.translator()
        found = type(tokenizer).__name__
        with pytest.raises(ValueError, match=f"`target_preprocessor` .* tokenizer={found}"):
            models.Translator(
                model.text_encoder,
                model.decoder,
                preprocessor=model.preprocessor,
                target_preprocessor=target,
            )


def test_a_vocabulary_of_sentence_pieces_writes(tmp_path):
    symbols = {"user_defined_symbols": ["[CLS]", "[SEP]", "[MASK]"], "eos_id": -1}
    pieces = _sentence_pieces(tmp_path, pad_id=0, pad_piece="<pad>", **symbols)
    tokenizer, texts = keras_hub.models.AlbertTokenizer(pieces), writers.sentences(60)
    ids = data.Preprocessor(None, tokenizer, 12).text_tensors(tf.constant(texts))["token_ids"]
    assert [text.decode() for text in texts_of(tokenizer, ids).numpy()] == texts


def _sentence_pieces(folder, **options):
    """Path of a SentencePiece model of `writers.sentences`."""
    (folder / "texts").write_text("\n".join(writers.sentences(60)), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "texts"), model_prefix=str(folder / "model"), vocab_size=24,
        hard_vocab_limit=False, unk_id=1, bos_id=-1, unk_piece="<unk>", minloglevel=2, **options,
    )  # fmt: skip
    return str(folder / "model.model")
