#!/usr/bin/python3
"""Train the demo network and write it, with a labelled sample, into a folder.

What comes out (see docs/demo.md for the why):

    digits.onnx             uint8 pictures [N,1,96,96] -> logits [N,10]
    digits_inputs.npy       held-out pictures, uint8, ready for the network
    digits_labels.npy       their labels, int64
    test_data_set_K/        ONNX test layout: pictures and PyTorch's own answers

Everything runs on Debian's packages and on the CPU:

    apt-get install python3-torch python3-numpy python3-sklearn python3-onnx

The pictures are scikit-learn's digits (BSD-3; from UCI's "Optical Recognition of
Handwritten Digits"), 1797 of 8x8 pixels with 17 grey levels, made 96x96 by bicubic
interpolation. The last 360 in file order are never trained on: the file is roughly in
order of writers, so this asks more than a random draw would.

The same seed gives the same files on the same machine; another CPU or another PyTorch
rounds differently and gives weights that are near, not equal. The number of threads is
part of that, so it is fixed here and does not follow the machine.
"""

import argparse
import hashlib
import os
import sys
import time

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

SIDE = 96            # pixels, height and width of what the network sees
HELD_OUT = 360       # pictures at the end of the data set, never trained on
SAMPLE_PER_CLASS = 15  # pictures shipped for each digit
TEST_SETS = (1, 4)   # pictures in test_data_set_0, test_data_set_1
OPSET = 13


class ConvNorm(nn.Sequential):
    """Convolution and batch normalisation, with or without the ReLU."""

    def __init__(self, cin, cout, kernel, stride=1, relu=True):
        parts = [nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False),
                 nn.BatchNorm2d(cout)]
        if relu:
            parts.append(nn.ReLU())
        super().__init__(*parts)


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut: two tensors cross its inside."""

    def __init__(self, width):
        super().__init__()
        self.a = ConvNorm(width, width, 3)
        self.b = ConvNorm(width, width, 3, relu=False)

    def forward(self, x):
        return F.relu(x + self.b(self.a(x)))


class Expand(nn.Sequential):
    """Twice the height and width, learned, with batch normalisation and ReLU."""

    def __init__(self, cin, cout):
        super().__init__(nn.ConvTranspose2d(cin, cout, 2, 2, bias=False),
                         nn.BatchNorm2d(cout), nn.ReLU())


class Digits(nn.Module):
    """Three stages with a squeeze after the first and after the second.

    A squeeze is the place to cut: a linear convolution (a ReLU there would throw
    information away, as MobileNetV2's authors show) down to few channels at a coarse
    grid, undone by transposed convolutions. The first comes early, so that a slow edge
    can hand over after a tenth of the work at half the bytes of the picture; the second
    sends an eighth of them after two thirds of the work.
    """

    def __init__(self, width=32):
        super().__init__()
        wide = 2 * width
        self.stem = nn.Sequential(ConvNorm(1, width // 2, 3, 2),
                                  ConvNorm(width // 2, width, 3, 2))
        self.stage1 = Residual(width)                         # width x 24 x 24
        self.squeeze1 = ConvNorm(width, 8, 3, 2, relu=False)  # 8 x 12 x 12
        self.expand1 = Expand(8, wide)                        # wide x 24 x 24
        self.stage2 = nn.Sequential(Residual(wide), Residual(wide))
        self.squeeze2 = nn.Sequential(ConvNorm(wide, width, 3, 2),
                                      ConvNorm(width, 8, 3, 2, relu=False))  # 8 x 6 x 6
        self.expand2 = nn.Sequential(Expand(8, width), Expand(width, wide))
        self.stage3 = nn.Sequential(Residual(wide), ConvNorm(wide, 3 * width, 3, 2))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classify = nn.Linear(3 * width, 10)

    def forward(self, pixels):
        """[N,1,96,96] pixels 0..255 of any type -> [N,10] logits."""
        x = pixels.to(torch.float32) * (1.0 / 255.0)
        x = self.squeeze1(self.stage1(self.stem(x)))
        x = self.squeeze2(self.stage2(self.expand1(x)))
        x = self.stage3(self.expand2(x))
        return self.classify(torch.flatten(self.pool(x), 1))


def load_pictures():
    """All pictures as uint8 [1797,1,96,96] and labels as int64 [1797]."""
    digits = load_digits()
    small = torch.from_numpy(digits.images.astype(np.float32))[:, None] / 16.0
    large = F.interpolate(small, size=(SIDE, SIDE), mode="bicubic", align_corners=False)
    pixels = (large.clamp(0.0, 1.0) * 255.0).round().to(torch.uint8)
    return pixels, torch.from_numpy(digits.target.astype(np.int64))


def augment(pixels, rng):
    """Random small rotation, scale, shear and shift of uint8 [N,1,H,W], as float 0..255.

    The random numbers come from `rng`, and from nothing else.
    """
    n = pixels.shape[0]

    def uniform(low, high):
        return low + (high - low) * torch.rand(n, generator=rng)

    angle, shear = uniform(-0.26, 0.26), uniform(-0.2, 0.2)
    sx, sy = uniform(0.85, 1.18), uniform(0.85, 1.18)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = torch.cos(angle) * sx
    theta[:, 0, 1] = (shear - torch.sin(angle)) * sx
    theta[:, 1, 0] = torch.sin(angle) * sy
    theta[:, 1, 1] = torch.cos(angle) * sy
    theta[:, 0, 2] = uniform(-0.15, 0.15)
    theta[:, 1, 2] = uniform(-0.15, 0.15)
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels.to(torch.float32), grid, align_corners=False)


@torch.no_grad()
def predict(model, pixels):
    """Logits [N,10] in inference mode, sixty pictures at a time."""
    model.eval()
    return torch.cat([model(part) for part in pixels.split(60)])


def top1(logits, labels):
    return (logits.argmax(1) == labels).double().mean().item()


def train(model, pixels, labels, epochs, batch, rate, rng):
    """One-cycle AdamW; every epoch sees every picture once, each moved differently."""
    steps = (len(labels) + batch - 1) // batch
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=rate, epochs=epochs, steps_per_epoch=steps)
    for epoch in range(epochs):
        began, total = time.monotonic(), 0.0
        model.train()
        for part in torch.randperm(len(labels), generator=rng).split(batch):
            loss = F.cross_entropy(model(augment(pixels[part], rng)), labels[part],
                                   label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() * len(part)
        print("epoch %2d of %d: loss %.4f, %.1f s" % (
            epoch + 1, epochs, total / len(labels), time.monotonic() - began),
            file=sys.stderr)


def count_work(model):
    """[(place, MACs so far, output bytes)] at the network's places to cut, for one picture.

    The places are the ends of the named parts of Digits, in order.
    """
    macs, rows, hooks = [0], [], []

    def conv_hook(module, _, out):
        kernel = module.kernel_size[0] * module.kernel_size[1]
        if isinstance(module, nn.ConvTranspose2d):
            # Each input pixel meets the whole kernel; the stride is the kernel's size.
            macs[0] += (out.numel() // kernel) * module.in_channels * kernel
        else:
            macs[0] += out.numel() * module.in_channels * kernel

    def linear_hook(module, _, out):
        macs[0] += out.numel() * module.in_features

    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            hooks.append(module.register_forward_hook(conv_hook))
        elif isinstance(module, nn.Linear):
            hooks.append(module.register_forward_hook(linear_hook))
    for name, module in model.named_children():
        hooks.append(module.register_forward_hook(
            lambda _, __, out, name=name: rows.append((name, macs[0], out.shape[1:]))))
    predict(model, torch.zeros(1, 1, SIDE, SIDE, dtype=torch.uint8))
    for hook in hooks:
        hook.remove()
    return rows


def print_work(model):
    """The table of docs/demo.md, in Markdown."""
    rows = count_work(model)
    total = rows[-1][1]
    print("| cut after | tensor | float32 bytes | int8 bytes | MACs before | share |")
    print("|---|---|---|---|---|---|")
    print("| (input, uint8) | 1x%dx%d | | %d | 0 | 0 %% |" % (SIDE, SIDE, SIDE * SIDE))
    for name, macs, shape in rows:
        size = int(np.prod(shape))
        print("| %s | %s | %d | %d | %d | %.0f %% |" % (
            name, "x".join(str(d) for d in shape), 4 * size, size, macs,
            100.0 * macs / total))


def export(model, path):
    """Write the ONNX file, its first dimension open and named N.

    Batch normalisation stays a node of its own (PRESERVE keeps the exporter from folding
    it), as in most files that people bring: fusing it is the runtime's work.
    """
    model.eval()
    torch.onnx.export(
        model, torch.zeros(1, 1, SIDE, SIDE, dtype=torch.uint8), path,
        input_names=["pixels"], output_names=["logits"],
        dynamic_axes={"pixels": {0: "N"}, "logits": {0: "N"}}, opset_version=OPSET,
        training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)


def choose_sample(labels):
    """Indices of the first pictures of each class, class by class in turn: 0 1 .. 9 0 1 .."""
    by_class = [torch.nonzero(labels == c)[:SAMPLE_PER_CLASS, 0] for c in range(10)]
    return torch.stack(by_class, 1).flatten()


def write_test_set(folder, model, pixels):
    os.makedirs(folder, exist_ok=True)
    for name, tensor in (("input_0", pixels), ("output_0", predict(model, pixels))):
        proto = numpy_helper.from_array(
            tensor.numpy(), "pixels" if name == "input_0" else "logits")
        with open(os.path.join(folder, name + ".pb"), "wb") as file:
            file.write(proto.SerializeToString())


def write_all(model, pixels, labels, out):
    """Write every shipped file; `pixels` and `labels` are the held-out pictures."""
    os.makedirs(out, exist_ok=True)
    export(model, os.path.join(out, "digits.onnx"))
    chosen = choose_sample(labels)
    np.save(os.path.join(out, "digits_inputs.npy"), pixels[chosen].numpy())
    np.save(os.path.join(out, "digits_labels.npy"), labels[chosen].numpy())
    first = 0
    for index, count in enumerate(TEST_SETS):
        write_test_set(os.path.join(out, "test_data_set_%d" % index), model,
                       pixels[chosen[first:first + count]])
        first += count
    return top1(predict(model, pixels[chosen]), labels[chosen])


def print_digests(out):
    total = 0
    for folder, folders, names in sorted(os.walk(out)):
        for name in sorted(names):
            if not name.endswith((".onnx", ".npy", ".pb")):
                continue
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                body = file.read()
            total += len(body)
            print("%s  %8d  %s" % (hashlib.sha256(body).hexdigest(), len(body),
                                   os.path.relpath(path, out)))
    print("total %d bytes" % total)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Train the demo network on scikit-learn's digits.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("-o", "--out", default="etc/demo", help="folder to write into")
    parser.add_argument("--seed", type=int, default=1, help="seed of every random choice")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the pictures")
    parser.add_argument("--batch", type=int, default=32, help="pictures a step")
    parser.add_argument("--rate", type=float, default=4e-3, help="peak learning rate")
    parser.add_argument("--width", type=int, default=32, help="channels of the first stage")
    parser.add_argument("--threads", type=int, default=2,
                        help="threads; part of what makes a run repeatable")
    parser.add_argument("--validate", action="store_true",
                        help="to choose settings: train without the last 237 training "
                        "pictures, judge on those, write nothing")
    return parser.parse_args()


def main():
    args = parse_arguments()
    torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(args.seed)
    rng = torch.Generator().manual_seed(args.seed)

    pixels, labels = load_pictures()
    end = len(labels) - HELD_OUT
    test = slice(end, None)
    if args.validate:
        test = slice(end - 237, end)
        end = test.start

    model = Digits(args.width)
    began = time.monotonic()
    train(model, pixels[:end], labels[:end], args.epochs, args.batch, args.rate, rng)
    print("torch %s, seed %d, %d threads, trained on %d pictures in %.0f s" % (
        torch.__version__, args.seed, args.threads, end, time.monotonic() - began))
    logits = predict(model, pixels[test])
    print("top-1 on %d pictures never trained on: %.4f" % (
        len(logits), top1(logits, labels[test])))
    print_work(model)
    if not args.validate:
        sample = write_all(model, pixels[test], labels[test], args.out)
        print("top-1 on the shipped sample of %d: %.4f" % (10 * SAMPLE_PER_CLASS, sample))
        print_digests(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
