"""The file that `tatl-zoo new` writes."""

_TEMPLATE = '''\
"""{name}: a model of your own. Every program knows it with --register={file}.

    tatl-train --register={file} --model={name} --smoke
    tatl-train --register={file} --model={name} --data=pets.csv --workdir=runs/{name}
"""

from tatl_keras import zoo

# What it is made of. Leave out image or text for a model of the other alone.
PARTS = {{
    # A name of encoders.names("image"): efficientnet_lite0, resnet50, resnet101, vit_b16, vit_l16;
    # or a KerasHub preset, an hf:// or kaggle:// handle, or a folder.
    "image": "efficientnet_lite0",
    # A name of encoders.names("text"): minilm, bert_base, bert_tiny, lstm, transformer, embed; or a
    # preset.
    "text": "minilm",
    # concat, gated, film, bilinear, cross, joint or no_harm.
    "fusion": "gated",
}}


@zoo.register(**PARTS)
def {name}(num_classes, **kwargs):
    """EfficientNet-Lite0 and MiniLM, joined by a gated unit of 256."""
    # Whoever builds the model may change any of these: zoo.build("{name}", 5, dropout=0.2), or
    # --model_args=dropout=0.2. Arguments: those of zoo.compose and of the fusion.
    settings = {{"name": "{name}", "hidden_dim": 256}}
    return zoo.compose(num_classes, **(PARTS | settings | kwargs))


if __name__ == "__main__":
    model = zoo.build("{name}", num_classes=3)
    logits = model.predict({{"image": [""], "text": ["a small example"]}})
    print(f"{{model.name}} works: logits of shape {{logits.shape}}")
'''


def source(name, file):
    """The text of the file.

    Args:
        name: str, the model's name, a Python identifier.
        file: str, the file's own name, for its instructions.
    """
    return _TEMPLATE.format(name=name, file=file)
