"""Tiny presets of models with two towers, CLIP and SigLIP."""

import io

import keras_hub
import numpy as np
import sentencepiece

LENGTH = 9  # places of SigLIP's text tower


def clip_backbone():
    vision = dict(patch_size=8, hidden_dim=10, num_layers=2, num_heads=2, intermediate_dim=14)
    text = dict(embedding_dim=6, hidden_dim=6, num_layers=1, num_heads=3, intermediate_dim=22)
    made = keras_hub.models.CLIPBackbone(
        keras_hub.models.CLIPVisionEncoder(**vision, image_shape=(24, 24, 3)),
        keras_hub.models.CLIPTextEncoder(**text, vocabulary_size=31, max_sequence_length=11),
        projection_dim=7,
    )
    made.vision_encoder.embedding.position_ids.assign(np.arange(10)[None])
    return made


def clip_tokenizer(**kwargs):
    letters = ["a", "b", "d", "e", "f", "l", "r", "t", "u", "y"]
    merges = ["b u", "t t", "r e", "f l", "fl y</w>", "re d</w>"]
    words = letters + [f"{one}</w>" for one in letters]
    words += [merge.replace(" ", "") for merge in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: place for place, word in enumerate(words, start=1)}
    return keras_hub.models.CLIPTokenizer(vocabulary, merges, **kwargs)


def save_clip(folder):
    """Writes a preset for pictures of 24 × 24; returns its folder as a str."""
    converter = keras_hub.layers.CLIPImageConverter(image_size=(24, 24), scale=1 / 255)
    for part in (clip_backbone(), converter, clip_tokenizer()):
        part.save_to_preset(str(folder))
    return str(folder)


def siglip_backbone():
    """All weights random: those that start at 0 or 1 would hide that they were mixed up."""
    sizes = dict(num_layers=2, num_heads=2, intermediate_dim=22)
    made = keras_hub.models.SigLIPBackbone(
        keras_hub.models.SigLIPVisionEncoder(
            8, hidden_dim=10, layer_norm_epsilon=1e-4, image_shape=(24, 24, 3), **sizes
        ),
        keras_hub.models.SigLIPTextEncoder(
            24, embedding_dim=6, hidden_dim=6, max_sequence_length=LENGTH, projection_dim=10,
            layer_norm_epsilon=1e-3, **sizes,
        ),
    )  # fmt: skip
    rng = np.random.default_rng(5)
    for weight in made.trainable_weights:
        weight.assign(rng.normal(size=weight.shape) / 2)
    return made


def siglip_vocabulary(texts=("a red fly", "a butterfly", "red butter")):
    file = io.BytesIO()
    ids = dict(pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>", eos_piece="</s>")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=file, vocab_size=24, model_type="BPE",
        minloglevel=2, **ids,
    )  # fmt: skip
    return file.getvalue()


def save_siglip(folder):
    """Writes a preset for pictures of 24 × 24; returns its folder as a str."""
    converter = keras_hub.layers.SigLIPImageConverter(image_size=(24, 24), scale=1 / 255)
    for part in (
        siglip_backbone(),
        converter,
        keras_hub.models.SigLIPTokenizer(siglip_vocabulary()),
    ):
        part.save_to_preset(str(folder))
    return str(folder)
