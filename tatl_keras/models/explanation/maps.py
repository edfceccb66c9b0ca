"""Attention and gradients of one example, as maps of its picture and its words."""

import numpy as np
import tensorflow as tf

from tatl_keras.models.artifact.attention_maps import attention_maps, gives_attention, grid_of
from tatl_keras.models.explanation.attribution_map import AttributionMap
from tatl_keras.models.explanation.rollout import rollout

HEADS = "attention_head_"  # begins the names of maps of single heads


def maps_of(game, index):
    """The maps that a model has of an example.

    Args:
        game: a `Game`.
        index: int, the class.

    Returns:
        Dict from name to `AttributionMap`.
    """
    model = game.answers.model
    there = [modality for modality in model.encoders if game.counts[modality]]
    features = {}
    for modality in model.encoders:
        features |= game.whole(modality)
    found = [_gradient(game, features, index, there)] if there else []
    attended = {}
    if len(there) == 2 and gives_attention(model.fusion):
        with game.answers.applied():
            tensors = {name: tf.constant(value) for name, value in features.items()}
            attended = attention_maps(model.fusion, tensors, grid_of(model))
        attended = {name: value.numpy()[0] for name, value in attended.items()}
        found.append(_attention(game, attended))
    layers = {modality: game.attention_scores(modality) for modality in there}
    layers = {modality: scores for modality, scores in layers.items() if scores}
    found += [_rolled_out(game, attended, layers), *_heads(game, layers)]
    maps = [one for one in found if one.values is not None or one.word_values is not None]
    return {one.name: one for one in maps}


def _gradient(game, features, index, there):
    model, maps = game.answers.model, {}
    gradients = game.answers.gradients(features, index)
    if "image" in there:
        slope, tokens = gradients["image_tokens"][0], features["image_tokens"][0]
        if len(model.image_encoder.backbone.output.shape) == 4:
            slope = slope.mean(axis=0, keepdims=True)  # Grad-CAM: a weight for each channel
        if slope.any():
            values = np.maximum((slope * tokens).sum(axis=-1), 0.0)
            maps["values"] = values.reshape(grid_of(model))
    if "text" in there:
        slope, tokens = gradients["text_tokens"][0], features["text_tokens"][0]
        if slope.any():
            maps["word_values"] = _of_words(game, (slope * tokens).sum(axis=-1))
    return AttributionMap("gradient", "Gradient", **maps)


def _attention(game, attended):
    looked = attended["word_to_region"]
    return AttributionMap(
        "attention",
        "Attention of the fusion",
        values=attended["region_attention"],
        word_values=_of_words(game, attended["word_attention"]),
        word_to_region=np.stack(
            [looked[some].mean(axis=0) if len(some) else 0 * looked[0] for some in game.text.tokens]
        ),
    )


def _rolled_out(game, attended, layers):
    """Attention of the fusion, or what the encoder's vector is read from, through the layers."""
    maps = {}
    for modality, scores in layers.items():
        start = _read_from(game, modality, scores[0].shape[-1])
        if attended and modality == "image":
            regions = attended["region_attention"].reshape(-1)
            start = np.concatenate([np.zeros(len(start) - len(regions)), regions])
        elif attended:
            start = attended["word_attention"]
        maps |= _of_tokens(game, modality, start @ rollout(scores))
    return AttributionMap("attention_rollout", "Attention through the encoder", **maps)


def _heads(game, layers):
    """A map of each head of an encoder's last layer, from where its vector is read."""
    found = []
    for modality, title in (("image", "Picture"), ("text", "Text")):
        for number, scores in enumerate(layers[modality][-1] if modality in layers else (), 1):
            fields = _of_tokens(game, modality, _read_from(game, modality, len(scores)) @ scores)
            name = f"{HEADS}{modality}_{number}"
            found.append(
                AttributionMap(name, f"{title}, head {number} of the last layer", **fields)
            )
    return found


def _read_from(game, modality, length):
    """Shares (T,) of the tokens of which an encoder makes its vector."""
    if modality == "image":
        places = [0] if game.answers.model.image_encoder.num_prefix_tokens else range(length)
    else:
        pooling = game.answers.model.text_encoder.pooling
        places = {"cls": [0], "end": [length - 1]}.get(pooling, range(length))
    start = np.zeros(length)
    start[list(places)] = 1 / len(places)
    return start


def _of_tokens(game, modality, values):
    """Fields of an `AttributionMap` from values (T,) of an encoder's tokens."""
    if modality == "text":
        return {"word_values": _of_words(game, values)}
    prefix = game.answers.model.image_encoder.num_prefix_tokens or 0
    return {"values": values[prefix:].reshape(grid_of(game.answers.model))}


def _of_words(game, values):
    """Sums (m,) over the tokens of each word."""
    return np.array([values[some].sum() for some in game.text.tokens], np.float64)
