#!/usr/bin/python3
"""Train one small network on CIFAR-10 at several widths and write its variants as ONNX files.

What comes out (see docs/distribute.md for what they are for):

    w20.onnx, w10.onnx, ..     uint8 pictures [N,3,32,32] -> logits [N,10]
    w20_int8.onnx, ..          the same weights quantised statically (QDQ form)
    pictures.npy, labels.npy   test pictures and their labels, ready for the networks
    test_data_set_0/           ONNX test layout: pictures and PyTorch's answers of the widest

Everything runs on Debian's packages and on the CPU, with one thread:

    apt-get install python3-torch python3-onnx python3-pil

The pictures are CIFAR-10's (Krizhevsky 2009) as JPEG re-encodings: training pictures from
a tar file of DIR/CLASS/NAME.jpg, test and calibration pictures as CIFAR-10's binary
records. A network trained on re-encoded pictures and tested on re-encoded pictures is about
as good as one trained and tested on lossless ones; the two do not mix.

The graphs are written node by node and not by an exporter, so that a tensor has the same
name in the float and the int8 file: a head of one then fits a tail of the other.

The same seed gives the same files on the same machine; another CPU or another PyTorch
rounds differently and gives weights that are near, not equal.
"""

import argparse
import functools
import hashlib
import io
import os
import sys
import tarfile
import time

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F

SIDE = 32              # pixels, height and width
CENTRE = 120.0         # subtracted from a pixel: near the mean of the training pictures
SCALE = 1.0 / 64.0     # what remains times this: near the deviation of the training pictures
SQUEEZE = 12           # channels at the place that is meant to be cut
SAMPLE_PER_CLASS = 12  # pictures shipped of each class
OPSET, IR_VERSION = 13, 7
SHIFT = 3              # pixels that an augmented picture moves at most, each way


class ConvNorm(nn.Sequential):
    """3x3 convolution and batch normalisation; the ReLU is the caller's."""

    def __init__(self, cin, cout, stride=1):
        super().__init__(nn.Conv2d(cin, cout, 3, stride, 1, bias=False),
                         nn.BatchNorm2d(cout))


class Pictures(nn.Module):
    """Two residual blocks with a linear squeeze between them.

    `width` scales every layer but the squeeze, so a variant of any width hands over the
    same 12 x 8 x 8 values there, a quarter of the picture's bytes once they are int8.
    """

    def __init__(self, width):
        super().__init__()
        w = width
        self.stem = ConvNorm(3, w)                    # w x 32 x 32
        self.down1 = ConvNorm(w, 2 * w, 2)            # 2w x 16 x 16
        self.block1a = ConvNorm(2 * w, 2 * w)
        self.block1b = ConvNorm(2 * w, 2 * w)
        self.squeeze = ConvNorm(2 * w, SQUEEZE, 2)    # 12 x 8 x 8
        self.expand = ConvNorm(SQUEEZE, 4 * w)        # 4w x 8 x 8
        self.block2a = ConvNorm(4 * w, 4 * w)
        self.block2b = ConvNorm(4 * w, 4 * w)
        self.down2 = ConvNorm(4 * w, 4 * w, 2)        # 4w x 4 x 4
        self.classify = nn.Linear(4 * w, 10)

    def forward(self, pixels):
        """[N,3,32,32] pixels 0..255 of any type -> [N,10] logits."""
        x = (pixels.to(torch.float32) - CENTRE) * SCALE
        x = F.relu(self.down1(F.relu(self.stem(x))))
        x = F.relu(x + self.block1b(F.relu(self.block1a(x))))
        x = F.relu(self.expand(self.squeeze(x)))
        x = F.relu(x + self.block2b(F.relu(self.block2a(x))))
        x = F.relu(self.down2(x))
        return self.classify(x.mean((2, 3)))


def load_training(path, classes):
    """Every picture of the tar file in the order of their names, uint8 [N,3,32,32]."""
    from PIL import Image
    pictures = []
    with tarfile.open(path) as tar:
        members = sorted((m for m in tar.getmembers() if m.name.endswith(".jpg")),
                         key=lambda m: m.name)
        for member in members:
            with Image.open(io.BytesIO(tar.extractfile(member).read())) as image:
                pixels = np.asarray(image.convert("RGB"), np.uint8)
            label = classes.index(member.name.split("/")[-2])
            pictures.append((pixels.transpose(2, 0, 1), label))
    return (torch.from_numpy(np.stack([p for p, _ in pictures])),
            torch.tensor([label for _, label in pictures]))


def load_records(path):
    """CIFAR-10's binary records: a byte of label, then 3x32x32 bytes."""
    raw = np.fromfile(path, np.uint8).reshape(-1, 1 + 3 * SIDE * SIDE)
    return (torch.from_numpy(raw[:, 1:].reshape(-1, 3, SIDE, SIDE).copy()),
            torch.from_numpy(raw[:, 0].astype(np.int64)))


def augment(padded, part, rng):
    """The pictures `part` of the padded ones, each moved and perhaps mirrored."""
    n = len(part)
    top, left = (torch.randint(0, 2 * SHIFT + 1, (n, 1), generator=rng) for _ in range(2))
    mirror = torch.rand(n, 1, generator=rng) < 0.5
    along = torch.arange(SIDE)[None]
    rows = top + along
    columns = left + torch.where(mirror, along.flip(1), along)
    moved = padded[part[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2).contiguous()


@torch.no_grad()
def predict(model, pixels):
    """Logits [N,10] in inference mode, a hundred pictures at a time."""
    model.eval()
    return torch.cat([model(part) for part in pixels.split(100)])


def top1(logits, labels):
    return (logits.argmax(1) == labels).double().mean().item()


def train(model, padded, labels, epochs, batch, rate, rng):
    """One-cycle SGD; every epoch sees every picture once, each moved differently."""
    steps = len(labels) // batch
    optimiser = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9,
                                weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=rate, total_steps=epochs * steps, pct_start=0.25)
    for epoch in range(epochs):
        began, total = time.process_time(), 0.0
        model.train()
        order = torch.randperm(len(labels), generator=rng)[:steps * batch]
        for part in order.split(batch):
            loss = F.cross_entropy(model(augment(padded, part, rng)), labels[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() * len(part)
        print("epoch %2d of %d: loss %.4f, %.1f s of CPU" % (
            epoch + 1, epochs, total / (steps * batch), time.process_time() - began),
            file=sys.stderr, flush=True)


class Graph:
    """An ONNX graph being written: nodes and weights in order, every tensor by name."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def weight(self, name, values):
        self.weights.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def node(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output,
                                           **attributes))
        return output


class FloatWriter(Graph):
    """The layers of a network as float operators."""

    def scale_pixels(self):
        self.node("Cast", ["pixels"], "pixels_float", to=TensorProto.FLOAT)
        self.node("Sub", ["pixels_float", self.weight("centre", np.float32(CENTRE))],
                  "centred")
        return self.node("Mul", ["centred", self.weight("scale", np.float32(SCALE))],
                         "scaled")

    def conv_weights(self, name, kernel, bias, _source):
        return [self.weight(name + ".weight", kernel), self.weight(name + ".bias", bias)]

    def finish(self, raw, name):
        """Gives the tensor its final name: here it is the last node's own output."""
        self.nodes[-1].output[0] = name
        return name

    def conv(self, source, name, folded, stride=1, relu=True):
        kernel, bias = folded[name]
        raw = self.node("Conv", [source] + self.conv_weights(name, kernel, bias, source),
                        name + "_conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1],
                        strides=[stride, stride])
        if relu:
            raw = self.node("Relu", [raw], name + "_relu")
        return self.finish(raw, name)

    def add(self, a, b, name):
        self.node("Add", [a, b], name + "_sum")
        return self.finish(self.node("Relu", [name + "_sum"], name + "_relu"), name)

    def write(self, folded):
        x = self.conv(self.scale_pixels(), "stem", folded)
        x = self.conv(x, "down1", folded, stride=2)
        y = self.conv(self.conv(x, "block1a", folded), "block1b", folded, relu=False)
        x = self.conv(self.add(x, y, "block1"), "squeeze", folded, stride=2, relu=False)
        x = self.conv(x, "expand", folded)
        y = self.conv(self.conv(x, "block2a", folded), "block2b", folded, relu=False)
        x = self.conv(self.add(x, y, "block2"), "down2", folded, stride=2)
        self.node("GlobalAveragePool", [x], "pooled")
        self.node("Flatten", ["pooled"], "features")
        weight, bias = folded["classify"]
        self.node("Gemm", ["features", self.weight("classify.weight", weight),
                           self.weight("classify.bias", bias)], "logits", transB=1)


class QuantisedWriter(FloatWriter):
    """The same with every convolution's input, weights and output at eight bits.

    Activations are uint8 with one scale a tensor, weights int8 with one a channel, biases
    int32, all in QuantizeLinear-DequantizeLinear form. The last layer stays float. A
    dequantised tensor carries the float network's name.
    """

    def __init__(self, ranges):
        super().__init__()
        self.ranges = ranges          # tensor: (least, greatest), as calibrated
        self.scales = {}              # of every quantised tensor

    def scale_pixels(self):
        # A pixel already is a quantised value: zero point and scale are the network's.
        self.scales["scaled"] = np.float32(SCALE)
        return self.node("DequantizeLinear", [
            "pixels", self.weight("scaled.scale", np.float32(SCALE)),
            self.weight("scaled.zero", np.uint8(CENTRE))], "scaled")

    def dequantise(self, name, values, scale):
        return self.node("DequantizeLinear", [
            self.weight(name + "_q", values), self.weight(name + ".scale", scale),
            self.weight(name + ".zero", np.zeros(len(scale), values.dtype))], name, axis=0)

    def conv_weights(self, name, kernel, bias, source):
        scale = np.abs(kernel).max((1, 2, 3)).astype(np.float32) / np.float32(127)
        scale = np.maximum(scale, np.float32(1e-8))
        rounded = np.clip(np.rint(kernel / scale[:, None, None, None]), -127, 127)
        both = scale * self.scales[source]
        return [self.dequantise(name + ".weight", rounded.astype(np.int8), scale),
                self.dequantise(name + ".bias", np.rint(bias / both).astype(np.int32), both)]

    def finish(self, raw, name):
        least, greatest = min(0.0, self.ranges[name][0]), max(0.0, self.ranges[name][1])
        scale = np.float32((greatest - least) / 255.0)
        zero = np.uint8(np.clip(np.rint(-least / scale), 0, 255))
        self.scales[name] = scale
        ends = [self.weight(name + ".scale", scale), self.weight(name + ".zero", zero)]
        self.node("QuantizeLinear", [raw] + ends, name + "_q")
        return self.node("DequantizeLinear", [name + "_q"] + ends, name)


def fold(model):
    """{layer: (kernel, bias)} with every batch normalisation put into its convolution."""
    folded = {}
    for name, layer in model.named_children():
        if isinstance(layer, nn.Linear):
            folded[name] = (layer.weight.detach().numpy(), layer.bias.detach().numpy())
            continue
        conv, norm = layer
        gain = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
        folded[name] = ((conv.weight.detach() * gain[:, None, None, None]).numpy(),
                        (norm.bias.detach() - norm.running_mean * gain).numpy())
    return folded


@torch.no_grad()
def calibrate(model, pixels):
    """{tensor: (least, greatest)} over the pictures, but for a ten-thousandth each way.

    The tensors are those that QuantisedWriter finishes: a layer's output after its ReLU
    where it has one, and the sums of the residual blocks.
    """
    seen = {}

    def keep(name, x):
        seen.setdefault(name, []).append(x.flatten()[::7].numpy())
        return x

    def layer(name, x, relu=True):
        y = getattr(model, name)(x)
        return keep(name, F.relu(y) if relu else y)

    model.eval()
    for part in pixels.split(100):
        x = layer("stem", (part.to(torch.float32) - CENTRE) * SCALE)
        x = layer("down1", x)
        y = layer("block1b", layer("block1a", x), relu=False)
        x = layer("squeeze", keep("block1", F.relu(x + y)), relu=False)
        x = layer("expand", x)
        y = layer("block2b", layer("block2a", x), relu=False)
        layer("down2", keep("block2", F.relu(x + y)))
    ranges = {}
    for name, parts in seen.items():
        low, high = np.quantile(np.concatenate(parts), (1e-4, 1.0 - 1e-4))
        ranges[name] = (float(low), float(high))
    return ranges


def save(writer, path):
    pictures = helper.make_tensor_value_info("pixels", TensorProto.UINT8,
                                             ["N", 3, SIDE, SIDE])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])
    graph = helper.make_graph(writer.nodes, "pictures", [pictures], [logits],
                              writer.weights)
    proto = helper.make_model(graph, producer_name="train_variants.py",
                              opset_imports=[helper.make_opsetid("", OPSET)])
    proto.ir_version = IR_VERSION
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def choose_sample(labels):
    """Indices of the first pictures of each class, class by class in turn: 0 1 .. 9 0 1 .."""
    by_class = [torch.nonzero(labels == c)[:SAMPLE_PER_CLASS, 0] for c in range(10)]
    return torch.stack(by_class, 1).flatten()


def write_sample(out, model, pixels, labels):
    """The shipped pictures, and PyTorch's own answers to the first four of them."""
    chosen = choose_sample(labels)
    np.save(os.path.join(out, "pictures.npy"), pixels[chosen].numpy())
    np.save(os.path.join(out, "labels.npy"), labels[chosen].numpy())
    folder = os.path.join(out, "test_data_set_0")
    os.makedirs(folder, exist_ok=True)
    few = pixels[chosen[:4]]
    for file, name, tensor in (("input_0", "pixels", few),
                               ("output_0", "logits", predict(model, few))):
        proto = numpy_helper.from_array(tensor.numpy(), name)
        with open(os.path.join(folder, file + ".pb"), "wb") as to:
            to.write(proto.SerializeToString())


def print_digests(out):
    total = 0
    for folder, _, names in sorted(os.walk(out)):
        for name in sorted(names):
            if name.endswith((".onnx", ".npy", ".pb")):
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    body = file.read()
                total += len(body)
                print("%s  %8d  %s" % (hashlib.sha256(body).hexdigest(), len(body),
                                       os.path.relpath(path, out)))
    print("total %d bytes" % total)


def train_or_load(args, width, training):
    """The network of that width: from its weights in --weights, or trained and kept."""
    model = Pictures(width)
    kept = os.path.join(args.weights, "w%d.pt" % width) if args.weights else None
    if kept and os.path.exists(kept):
        model.load_state_dict(torch.load(kept))
        return model
    # Seeded by itself, so that which other widths are made does not matter.
    torch.manual_seed(args.seed)
    model = Pictures(width)
    began = time.process_time()
    padded, labels = training()
    rng = torch.Generator().manual_seed(args.seed)
    for epochs in args.cycles:
        train(model, padded, labels, epochs, args.batch, args.rate, rng)
    print("w%d: %d epochs, %.0f s of CPU" % (width, sum(args.cycles),
                                             time.process_time() - began))
    if kept:
        torch.save(model.state_dict(), kept)
    return model


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Train a small network on CIFAR-10 at several widths, and quantise it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("data", help="folder with train_50000_jpeg.tar, test_A_5000.bin, "
                        "train_2000_calibration.bin and classes.txt")
    parser.add_argument("-o", "--out", default="etc/cifar", help="folder to write into")
    parser.add_argument("--seed", type=int, default=1, help="seed of every random choice")
    parser.add_argument("--widths", type=int, nargs="+", default=[4, 6, 10, 20])
    parser.add_argument("--int8", type=int, nargs="*", default=[6, 10, 20],
                        help="widths that are also quantised")
    parser.add_argument("--cycles", type=int, nargs="+", default=[9], help="passes over "
                        "the pictures; several are one cycle of the rate after the other")
    parser.add_argument("--batch", type=int, default=128, help="pictures a step")
    parser.add_argument("--rate", type=float, default=0.2, help="peak learning rate")
    parser.add_argument("--weights", help="folder where trained weights are kept, and "
                        "taken from where they are there already")
    return parser.parse_args()


def main():
    args = parse_arguments()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    with open(os.path.join(args.data, "classes.txt"), encoding="ascii") as file:
        classes = file.read().split()
    test, test_labels = load_records(os.path.join(args.data, "test_A_5000.bin"))
    some, _ = load_records(os.path.join(args.data, "train_2000_calibration.bin"))

    @functools.lru_cache
    def training():
        pixels, labels = load_training(
            os.path.join(args.data, "train_50000_jpeg.tar"), classes)
        return F.pad(pixels, [SHIFT] * 4, value=int(CENTRE)), labels

    os.makedirs(args.out, exist_ok=True)
    print("torch %s, seed %d" % (torch.__version__, args.seed))
    for width in args.widths:
        model = train_or_load(args, width, training)
        print("w%d: top-1 %.4f on %d test pictures, with PyTorch" % (
            width, top1(predict(model, test), test_labels), len(test)))
        folded = fold(model)
        plain = FloatWriter()
        plain.write(folded)
        save(plain, os.path.join(args.out, "w%d.onnx" % width))
        if width in args.int8:
            quantised = QuantisedWriter(calibrate(model, some))
            quantised.write(folded)
            save(quantised, os.path.join(args.out, "w%d_int8.onnx" % width))
        if width == max(args.widths):
            write_sample(args.out, model, test, test_labels)
    print_digests(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
