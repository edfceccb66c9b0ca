"""CLIP and SigLIP: pictures and texts in one space, so that texts of classes make a classifier."""

import string

from tatl_keras.zoo.compose import compose
from tatl_keras.zoo.registry import register

# What random text encoders read, since nothing is known of words.
_LETTERS = [*string.ascii_lowercase, *string.digits, *string.punctuation]
LETTERS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_LETTERS, *(f"##{c}" for c in _LETTERS)]


@register(image="clip_vit_b16", text="clip_text_b16", fusion="image_only")
def clip_b16_class_texts(num_classes, **kwargs):
    """CLIP ViT-B/16 with a head of class texts: no picture of any class is needed."""
    return _class_texts("clip_b16", "clip_vit_b16", "clip_text_b16", num_classes, kwargs)


@register(image="clip_vit_b32", text="clip_text_b32", fusion="image_only")
def clip_b32_class_texts(num_classes, **kwargs):
    """CLIP ViT-B/32 with a head of class texts: no picture of any class is needed."""
    return _class_texts("clip_b32", "clip_vit_b32", "clip_text_b32", num_classes, kwargs)


@register(image="clip_vit_l14", text="clip_text_l14", fusion="image_only")
def clip_l14_class_texts(num_classes, **kwargs):
    """CLIP ViT-L/14 with a head of class texts: no picture of any class is needed."""
    return _class_texts("clip_l14", "clip_vit_l14", "clip_text_l14", num_classes, kwargs)


@register(image="siglip_vit_b16", text="siglip_text_b16", fusion="image_only")
def siglip_b16_class_texts(num_classes, **kwargs):
    """SigLIP ViT-B/16 with a head of class texts: no picture of any class is needed."""
    return _class_texts("siglip_b16", "siglip_vit_b16", "siglip_text_b16", num_classes, kwargs)


@register(image="siglip_vit_l16", text="siglip_text_l16", fusion="image_only")
def siglip_l16_class_texts(num_classes, **kwargs):
    """SigLIP ViT-L/16 with a head of class texts: no picture of any class is needed."""
    return _class_texts("siglip_l16", "siglip_vit_l16", "siglip_text_l16", num_classes, kwargs)


@register(image="test_clip", text="test_clip_text", fusion="image_only")
def test_clip_class_texts(num_classes, **kwargs):
    """A tiny random CLIP with a head of class texts."""
    return _class_texts("test_clip", "test_clip", "test_clip_text", num_classes, kwargs)


@register(image="test_siglip", text="test_siglip_text", fusion="image_only")
def test_siglip_class_texts(num_classes, **kwargs):
    """A tiny random SigLIP with a head of class texts."""
    return _class_texts("test_siglip", "test_siglip", "test_siglip_text", num_classes, kwargs)


def _class_texts(name, image, text, num_classes, arguments):
    """`compose` with a head of class texts; by default prompts made of the class names."""
    parts = {"name": f"{name}_class_texts", "image": image, "text": text, "fusion": "image_only"}
    parts |= {"head": "class_texts", "class_texts": "prompts"}
    model = compose(num_classes, **parts | arguments)
    if model.preprocessor.needs_vocabulary:
        model.preprocessor.tokenizer.set_vocabulary(LETTERS)
        model.class_texts = model.class_texts
    return model
