"""Makes torch_encoders.npz: features of encoders as PyTorch implementations compute them.

    pip install "tatl_keras[benchmark]"
    python tests/goldens/torch_encoders.py

ResNet-50 and ViT-B/16 are torchvision's, BERT-base is that of Hugging Face's transformers, with the
weights and inputs of `equal_weights.py`, in float64. Arrays are named <case>/<what>: `pooled`, all
channels of the vector of a whole picture or text, and `tokens`, those at `places` alone. Further
cases are variants that a test must tell from these: `stride_in_1x1` has the stride in the first
convolution of a block, as He et al. 2016 had it, `gelu` and `gelu_tanh` the other form of the
activation, `epsilon` another constant in the normalisation.
"""

import pathlib

import equal_weights
import numpy as np
import torch
import torchvision
import transformers


def main():
    arrays = resnet50() | vit_b16() | bert_base()
    versions = {
        f"{module.__name__}_version": module.__version__
        for module in (torch, torchvision, transformers)
    }
    path = pathlib.Path(__file__).with_suffix(".npz")
    np.savez_compressed(path, **versions, **arrays)


def prepared(network):
    """The network with the drawn weights, for inference in float64."""
    drawn = {
        name: torch.tensor(equal_weights.drawn(name, tuple(value.shape)))
        for name, value in network.state_dict().items()
        if value.is_floating_point()
    }
    missing = network.load_state_dict(drawn, strict=False)
    assert not missing.unexpected_keys
    assert all("num_batches" in key for key in missing.missing_keys), missing
    return network.double().eval()


def pictures():
    return torch.tensor(equal_weights.pictures()).permute(0, 3, 1, 2).double()


@torch.inference_mode()
def resnet50():
    network = prepared(torchvision.models.resnet50())
    found = _resnet_features(network)
    places = [0, 24, 45]
    arrays = {
        "resnet50/places": places,
        "resnet50/tokens": found[:, places],
        "resnet50/pooled": found.mean(1),
    }
    for stage in (network.layer2, network.layer3, network.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    arrays["resnet50_stride_in_1x1/pooled"] = _resnet_features(network).mean(1)
    return as_arrays(arrays)


def _resnet_features(network):
    """The last map as tokens (B, 49, 2048), row by row."""
    body = torch.nn.Sequential(*list(network.children())[:-2])
    return body(pictures()).flatten(2).transpose(1, 2)


@torch.inference_mode()
def vit_b16():
    network = prepared(torchvision.models.vit_b_16())
    found = _vit_features(network)
    places = [0, 17, 100, 195]
    arrays = {
        "vit_b16/places": places,
        "vit_b16/tokens": found[:, 1:][:, places],
        "vit_b16/pooled": found[:, 0],
    }
    for module in network.modules():
        if isinstance(module, torch.nn.GELU):
            module.approximate = "tanh"
    arrays["vit_b16_gelu_tanh/pooled"] = _vit_features(network)[:, 0]
    return as_arrays(arrays)


def _vit_features(network):
    """All tokens (B, 197, 768), the class token first."""
    patches = network._process_input(pictures())
    token = network.class_token.expand(len(patches), -1, -1)
    return network.encoder(torch.cat([token, patches], 1))


@torch.inference_mode()
def bert_base():
    found = _bert_features(hidden_act="gelu_pytorch_tanh")
    places = [0, 3, 6]
    arrays = {"bert_base/places": places, "bert_base/tokens": found[:, places]}
    arrays["bert_base/pooled"] = _mean(found)
    arrays["bert_base_gelu/pooled"] = _mean(_bert_features(hidden_act="gelu"))
    other = _bert_features(hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-3)
    arrays["bert_base_epsilon/pooled"] = _mean(other)
    return as_arrays(arrays)


def _bert_features(**config):
    """All tokens (B, 12, 768)."""
    config = transformers.BertConfig(attn_implementation="eager", **config)
    network = prepared(transformers.BertModel(config, add_pooling_layer=False))
    token_ids, mask = map(torch.tensor, equal_weights.texts())
    return network(input_ids=token_ids, attention_mask=mask).last_hidden_state


def _mean(tokens):
    mask = torch.tensor(equal_weights.texts()[1])[..., None]
    return (tokens * mask).sum(1) / mask.sum(1)


def as_arrays(values):
    return {
        name: np.asarray(value, np.int32 if name.endswith("places") else np.float32)
        for name, value in values.items()
    }


if __name__ == "__main__":
    main()
