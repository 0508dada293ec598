#!/usr/bin/python3
"""Train the network whose feature maps are shared between edge and cloud (docs/dvfo.md).

What comes out, each part an ONNX file with fixed names:

    extract.onnx   pixels uint8 [1,3,32,32] -> features [1,64,8,8], importance [1,64]
    select.onnx    features, importance, secondary_count int64 [1]
                   -> primary [1,64-K,8,8], secondary [1,K,8,8], bitmap uint8 [8]
    edge.onnx      primary, bitmap -> logits [1,10]
    cifar10_cloud.onnx  secondary, bitmap -> logits [1,10]
    whole.onnx     pixels -> logits: the unsplit network, the reference
    features.json  what a program must know to put the parts together
    reference.json  PyTorch's answers for pictures that the tests can draw too

First the unsplit network is trained; then, from it, the two tails together with it: every
picture of a batch draws its own share, the maps are divided by importance, and each tail
learns from the labels and from the unsplit network's answer (distillation), and both from
their weighted mixture. Then the extractor and the unsplit network stand still, and the
tails learn on, each the more the larger its share of the answer; last with two more
convolutions in the cloud's, which runs on the stronger machine, and with the pool that
fuses them in place of the mixture. Temperatures and the weight lambda of the pool are
fitted for each share on training pictures that were held out. The test set is only ever
printed.

    apt-get install python3-torch python3-numpy python3-pil python3-onnx

The same seed gives the same files on the same machine with the same packages. Training is
one thread; a checkpoint after each epoch makes an interruption cost at most one epoch.
"""

import argparse
import dataclasses
import hashlib
import io
import json
import os
import sys
import tarfile
import time
from typing import Callable

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import nn
from torch.nn import functional as F

MAPS = 64          # feature maps that are shared out
SIDE = 8           # their height and width
HELD_OUT = 2500    # training pictures that fit temperatures and lambda
SHARES = [round(0.1 * i, 1) for i in range(11)]
OPSET = 13
CLOUD = "cifar10_cloud.onnx"  # a node names a model after its file
MEAN, SPREAD = 0.48, 0.25  # of the pixels, roughly


class ConvNorm(nn.Module):
    """3x3 convolution and batch normalisation, with or without the ReLU."""

    def __init__(self, cin, cout, stride=1, relu=True):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(cout)
        self.stride, self.relu = stride, relu

    def forward(self, x):
        x = self.norm(self.conv(x))
        return F.relu(x) if self.relu else x


class Extractor(nn.Module):
    """Three convolutions, then channel and spatial attention (as in CBAM).

    A map's importance is the mean of what is left of it after both attentions, so that
    all importances of a picture add up to 1.
    """

    def __init__(self):
        super().__init__()
        self.stem = ConvNorm(3, 32)
        self.down1 = ConvNorm(32, 64, 2)
        self.down2 = ConvNorm(64, MAPS, 2)
        self.squeeze = nn.Linear(MAPS, 8)
        self.excite = nn.Linear(8, MAPS)
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, pixels):
        x = (pixels * (1.0 / 255.0) - MEAN) * (1.0 / SPREAD)
        x = self.down2(self.down1(self.stem(x.contiguous(
            memory_format=torch.channels_last))))
        pooled = torch.stack([x.mean((2, 3)), x.amax((2, 3))])
        channel = torch.sigmoid(self.excite(F.relu(self.squeeze(pooled))).sum(0))
        x = x * channel[:, :, None, None]
        where = torch.stack([x.mean(1), x.amax(1)], 1)
        x = x * torch.sigmoid(self.spatial(where))
        mean = x.float().mean((2, 3))
        return x, mean / (mean.sum(1, keepdim=True) + 1e-9)


class Tail(nn.Module):
    """Feature maps to logits.

    Most of the work is the first convolution, and it is done for the maps that are there
    alone; each of the others adds a learnt constant to its outputs instead.
    """

    def __init__(self):
        super().__init__()
        self.first = ConvNorm(MAPS, 128)
        self.absent = nn.Parameter(torch.zeros(MAPS, 128))
        self.second = ConvNorm(128, 96, 2)
        self.deeper = None
        self.classify = nn.Linear(96, 10)

    def deepen(self):
        """Two more convolutions, at first without effect: what was learnt stays."""
        self.deeper = nn.Sequential(ConvNorm(96, 96), ConvNorm(96, 96, relu=False))
        nn.init.zeros_(self.deeper[1].norm.weight)
        self.to(memory_format=torch.channels_last)

    def forward(self, maps, present=None):
        if present is not None:
            maps = maps * present[:, :, None, None].to(maps.dtype)
        x = self.first.conv(maps)
        if present is not None:
            x = x + ((1 - present) @ self.absent)[:, :, None, None].to(x.dtype)
        x = self.second(F.relu(self.first.norm(x)))
        if self.deeper:
            x = F.relu(x + self.deeper(x))
        return self.classify(x.mean((2, 3)))


class Network(nn.Module):
    """The unsplit network is the extractor and the tail `full`."""

    def __init__(self):
        super().__init__()
        self.extract = Extractor()
        self.full, self.edge, self.cloud = Tail(), Tail(), Tail()


def secondary_mask(importance, count):
    """1 for the `count` (one a picture) least important maps; the lower index first."""
    order = importance.argsort(dim=1, stable=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(MAPS).expand_as(order).contiguous())
    return (rank < count[:, None]).float()


def load_training(path, classes):
    """Every picture of the archive in the order of its names, uint8, and its label."""
    pixels, labels = [], []
    with tarfile.open(path) as archive:
        for member in sorted(archive.getmembers(), key=lambda m: m.name):
            if not member.name.endswith(".jpg"):
                continue
            picture = Image.open(io.BytesIO(archive.extractfile(member).read()))
            pixels.append(np.asarray(picture.convert("RGB")).transpose(2, 0, 1))
            labels.append(classes.index(member.name.split("/")[-2]))
    return torch.from_numpy(np.stack(pixels)), torch.tensor(labels)


def load_records(path):
    """CIFAR-10's binary records: a label byte, then 3x32x32."""
    records = np.fromfile(path, np.uint8).reshape(-1, 3073)
    return (torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy()),
            torch.from_numpy(records[:, 0].astype(np.int64)))


def augment(pixels, rng):
    """Mirrored at random and shifted by up to 4 pixels, as float 0..255."""
    n = len(pixels)
    padded = F.pad(pixels.float(), (4, 4, 4, 4), mode="reflect")
    row = torch.randint(0, 9, (n, 1), generator=rng) + torch.arange(32)
    column = torch.randint(0, 9, (n, 1), generator=rng) + torch.arange(32)
    mirrored = torch.rand(n, generator=rng) < 0.5
    column[mirrored] = column[mirrored].flip(1)
    picture = torch.arange(n)[:, None, None]
    return padded[picture, :, row[:, :, None], column[:, None, :]].permute(0, 3, 1, 2)


def distilled(log_p, labels, teacher, weight=None):
    """Half from the labels, half from the unsplit network's probabilities."""
    loss = (0.5 * F.nll_loss(log_p, labels, reduction="none")
            - 0.5 * (teacher * log_p).sum(1))
    return (loss if weight is None else loss * weight).mean()


def loss_whole(net, pixels, labels, rng):
    del rng
    maps, _ = net.extract(pixels)
    return F.cross_entropy(net.full(maps).float(), labels, label_smoothing=0.05)


def run_halves(net, maps, importance, rng):
    """Logits of edge and cloud at shares drawn for each picture, and the edge's weight."""
    count = torch.randint(0, MAPS + 1, (len(maps),), generator=rng)
    secondary = secondary_mask(importance.detach(), count)
    edge = net.edge(maps, 1 - secondary).float()
    cloud = net.cloud(maps, secondary).float()
    return edge, cloud, 1 - count / MAPS


def mixture(edge, cloud, weight):
    """Logarithm of the weighted mean of both probabilities."""
    weight = weight[:, None]
    return torch.log(weight * F.softmax(edge, 1) + (1 - weight) * F.softmax(cloud, 1)
                     + 1e-9)


def loss_parts(net, pixels, labels, rng):
    """All three answers, and the mixture's."""
    maps, importance = net.extract(pixels)
    full = net.full(maps).float()
    edge, cloud, weight = run_halves(net, maps, importance, rng)
    teacher = F.softmax(full.detach(), 1)
    return (F.cross_entropy(full, labels, label_smoothing=0.05)
            + distilled(F.log_softmax(edge, 1), labels, teacher)
            + distilled(F.log_softmax(cloud, 1), labels, teacher)
            + 0.5 * F.nll_loss(mixture(edge, cloud, weight), labels))


def loss_tails(net, pixels, labels, rng, fuse=mixture):
    """The tails alone, each weighed as in what fuses them, and that."""
    net.extract.eval()
    net.full.eval()
    with torch.no_grad():
        maps, importance = net.extract(pixels)
        teacher = F.softmax(net.full(maps).float(), 1)
    edge, cloud, weight = run_halves(net, maps, importance, rng)
    return (distilled(F.log_softmax(edge, 1), labels, teacher, weight)
            + distilled(F.log_softmax(cloud, 1), labels, teacher, 1 - weight)
            + distilled(fuse(edge, cloud, weight), labels, teacher))


def loss_pool(net, pixels, labels, rng):
    """Likewise, with the pool in place of the mixture."""
    def fuse(edge, cloud, weight):
        weight = weight[:, None]
        return F.log_softmax(weight * edge + (1 - weight) * cloud, 1)
    return loss_tails(net, pixels, labels, rng, fuse)


def copy_tails(net):
    net.edge.load_state_dict(net.full.state_dict())
    net.cloud.load_state_dict(net.full.state_dict())


def deepen_cloud(net):
    net.cloud.deepen()


@dataclasses.dataclass
class Phase:
    """Passes over the pictures, one cycle of the learning rate: it rises for a share
    `rise` of the planned passes, then falls to nothing. Fewer than planned may be taken."""
    loss: Callable
    modules: Callable  # of the network, that learn
    planned: int
    rate: float        # at its peak
    taken: int = 0     # 0: as planned
    rise: float = 0.2
    prepare: Callable = None  # what becomes of the network first


def both_tails(net):
    return [net.edge, net.cloud]


# What the shipped parts were made by. Two cycles were ended early, for want of time; as
# their rates had not fallen yet, others follow them.
PHASES = [
    Phase(loss_whole, lambda net: [net], 10, 0.1),
    Phase(loss_parts, lambda net: [net], 14, 0.05, taken=13, prepare=copy_tails),
    Phase(loss_tails, both_tails, 4, 0.02),
    Phase(loss_pool, both_tails, 24, 0.05, taken=9, prepare=deepen_cloud),
    Phase(loss_pool, both_tails, 3, 0.04, rise=0.02),
]


def train_pass(net, pixels, labels, phase, batch, rng, step):
    """One pass; `step` follows each loss. Their mean."""
    total = 0.0
    net.train()
    for part in torch.randperm(len(labels), generator=rng).split(batch):
        moved = augment(pixels[part], rng)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = phase.loss(net, moved, labels[part], rng)
        step(loss)
        total += loss.item() * len(part)
    return total / len(labels)


def train(net, pixels, labels, args, rng):
    """All phases; goes on from the checkpoint."""
    done = {"phase": -1, "epoch": -1}
    if args.checkpoint and os.path.exists(args.checkpoint):
        done = torch.load(args.checkpoint)
        for phase in PHASES[:done["phase"] + 1]:
            if phase.prepare:
                phase.prepare(net)
        net.load_state_dict(done["net"])
        rng.set_state(done["rng"])
    for number, phase in enumerate(PHASES):
        if done["phase"] > number:
            continue
        first = done["epoch"] + 1 if done["phase"] == number else 0
        if first == 0 and phase.prepare:
            phase.prepare(net)
        optimiser = torch.optim.SGD(
            [p for m in phase.modules(net) for p in m.parameters()], lr=phase.rate,
            momentum=0.9, nesterov=True, weight_decay=5e-4)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, max_lr=phase.rate, epochs=phase.planned, pct_start=phase.rise,
            steps_per_epoch=(len(labels) + args.batch - 1) // args.batch)
        if first > 0:
            optimiser.load_state_dict(done["optimiser"])
            schedule.load_state_dict(done["schedule"])

        def step(loss, optimiser=optimiser, schedule=schedule):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()

        taken = min(phase.taken or phase.planned, args.passes)
        for epoch in range(first, taken):
            began = time.process_time()
            mean = train_pass(net, pixels, labels, phase, args.batch, rng, step)
            print("phase %d, pass %2d of %d: loss %.4f, %.0f s of a core" % (
                number + 1, epoch + 1, taken, mean, time.process_time() - began),
                file=sys.stderr, flush=True)
            if args.checkpoint:
                torch.save({"net": net.state_dict(), "phase": number, "epoch": epoch,
                            "optimiser": optimiser.state_dict(), "rng": rng.get_state(),
                            "schedule": schedule.state_dict()}, args.checkpoint + ".new")
                os.replace(args.checkpoint + ".new", args.checkpoint)


@torch.no_grad()
def extract_all(net, pixels):
    """Feature maps and their importance."""
    net.eval()
    parts = [net.extract(part.float()) for part in pixels.split(250)]
    return [torch.cat(column) for column in zip(*parts)]


@torch.no_grad()
def answers(net, extracted, share=None):
    """Logits of the unsplit network, or of (edge, cloud) at a share."""
    net.eval()
    rows = []
    for maps, importance in zip(*(column.split(250) for column in extracted)):
        if share is None:
            rows.append((net.full(maps),))
            continue
        count = torch.full((len(maps),), round(share * MAPS))
        secondary = secondary_mask(importance, count)
        rows.append((net.edge(maps, 1 - secondary), net.cloud(maps, secondary)))
    columns = [torch.cat(column) for column in zip(*rows)]
    return columns[0] if share is None else columns


def best_of(values, loss):
    return min(values, key=lambda value: float(loss(value)))


def pool(edge, cloud, weight, temperature):
    """Logits of the logarithmic pool of two rows of probabilities."""
    return (weight * torch.log(edge.clamp_min(1e-30))
            + (1 - weight) * torch.log(cloud.clamp_min(1e-30))) / temperature


def mix(edge, cloud, weight, temperature):
    """Likewise of the weighted mean."""
    return torch.log(weight * edge + (1 - weight) * cloud + 1e-30) / temperature


TEMPERATURES = [round(0.5 + 0.05 * i, 2) for i in range(51)]


def fit_row(share, halves, labels, fuse=pool):
    """Temperature of each half and lambda by likelihood."""
    lambdas = [round(0.02 * i, 2) for i in range(51)]
    chosen = [best_of(TEMPERATURES, lambda t, z=z: F.cross_entropy(z / t, labels))
              for z in halves]
    edge, cloud = (F.softmax(z / t, 1) for z, t in zip(halves, chosen))
    # At the ends there is only one half.
    weights = {0: [1.0], 1: [0.0]}.get(share, lambdas)
    weight, warmth = best_of(
        [(w, t) for w in weights for t in TEMPERATURES[:21]],
        lambda wt: F.cross_entropy(fuse(edge, cloud, *wt), labels))
    return {"share": share, "lambda": weight, "edge_temperature": chosen[0],
            "cloud_temperature": chosen[1], "temperature": warmth}


def fit_fusion(net, pixels, labels):
    extracted = extract_all(net, pixels)
    return [fit_row(share, answers(net, extracted, share), labels) for share in SHARES]


def compare_fusions(net, pixels, labels):
    """Pool and mixture, fitted on one half of the pictures and judged on the other, both
    ways: for each share loss of likelihood and top-1."""
    extracted = extract_all(net, pixels)
    folds = torch.arange(len(labels)) % 2 == 0
    means = []
    for share in SHARES[1:-1]:
        halves, figures = answers(net, extracted, share), []
        for fuse in (pool, mix):
            scores = torch.empty_like(halves[0])
            for fold in (folds, ~folds):
                row = fit_row(share, [z[fold] for z in halves], labels[fold], fuse)
                p = probabilities([z[~fold] for z in halves], row)
                scores[~fold] = fuse(*p, row["lambda"], row["temperature"])
            figures += [F.cross_entropy(scores, labels).item(), 100 * top1(scores, labels)]
        means.append(figures)
        print("held out, share %.1f: pool %.4f, %.2f %%; mixture %.4f, %.2f %%" % (
            share, *figures))
    print("held out, on average: pool %.4f, %.2f %%; mixture %.4f, %.2f %%" % tuple(
        np.mean(means, 0)))


def top1(scores, labels):
    return (scores.argmax(1) == labels).double().mean().item()


def probabilities(halves, row):
    """Those of edge and cloud, each at its own temperature."""
    return (F.softmax(halves[0] / row["edge_temperature"], 1),
            F.softmax(halves[1] / row["cloud_temperature"], 1))


def report(net, pixels, labels, fusion):
    """Prints the accuracy of everything, in float as PyTorch computes it."""
    extracted = extract_all(net, pixels)
    whole = top1(answers(net, extracted), labels)
    print("unsplit %.4f" % whole)
    losses = []
    for row in fusion:
        edge, cloud = probabilities(answers(net, extracted, row["share"]), row)
        p = pool(edge, cloud, row["lambda"], row["temperature"])
        loss = whole - top1(p, labels)
        if 0 < row["share"] < 1:
            losses.append(loss)
        print("share %.1f: fused %.4f (%+.4f), edge half %.4f, cloud half %.4f, "
              "lambda %.2f" % (row["share"], top1(p, labels), -loss,
                               top1(edge, labels), top1(cloud, labels), row["lambda"]))
    print("shares 0.1 to 0.9: loss %.4f on average, %.4f at worst" % (
        np.mean(losses), max(losses)), flush=True)


class Graph:
    """An ONNX graph in the making: one call a node, initialisers named after their use."""

    def __init__(self, name, is_small=False):
        self.name, self.nodes, self.weights = name, [], []
        self.is_small = is_small

    def weight(self, name, value):
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def floats(self, name, value):
        return self.weight(name, np.asarray(value, np.float32))

    def kernel(self, name, value):
        """Of a convolution; in a small graph in 16 bits, made 32 when it is loaded."""
        if not self.is_small:
            return self.floats(name, value)
        return self.node("Cast", [self.weight(name + ".half", np.asarray(value, np.float16))],
                         name, to=TensorProto.FLOAT)

    def ints(self, name, value):
        return self.weight(name, np.asarray(value, np.int64))

    def node(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], output, **attributes))
        return output

    def conv_norm(self, x, part, name):
        """Batch normalisation is folded into the convolution."""
        weight, bias, _ = folded(part)
        x = self.node("Conv", [x, self.kernel(name + ".weight", weight),
                               self.floats(name + ".bias", bias)],
                      name + ".conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1],
                      strides=[part.stride, part.stride])
        return self.node("Relu", [x], name + ".relu") if part.relu else x

    def linear(self, x, part, name, output):
        return self.node("Gemm", [x, self.floats(name + ".weight",
                                                 part.weight.detach().numpy()),
                                  self.floats(name + ".bias", part.bias.detach().numpy())],
                         output, transB=1)

    def save(self, path, inputs, outputs):
        """`inputs` and `outputs`: (name, element type, shape)."""
        graph = helper.make_graph(
            self.nodes, self.name, [helper.make_tensor_value_info(*i) for i in inputs],
            [helper.make_tensor_value_info(*o) for o in outputs], self.weights)
        model = helper.make_model(graph, producer_name="train_dvfo.py", ir_version=8,
                                  opset_imports=[helper.make_opsetid("", OPSET)])
        onnx.checker.check_model(model, full_check=True)
        with open(path, "wb") as file:
            file.write(model.SerializeToString())


PIXELS = ("pixels", TensorProto.UINT8, [1, 3, 32, 32])
FEATURES = ("features", TensorProto.FLOAT, [1, MAPS, SIDE, SIDE])
IMPORTANCE = ("importance", TensorProto.FLOAT, [1, MAPS])
PRIMARY = ("primary", TensorProto.FLOAT, [1, "primary_count", SIDE, SIDE])
SECONDARY = ("secondary", TensorProto.FLOAT, [1, "secondary_count", SIDE, SIDE])
BITMAP = ("bitmap", TensorProto.UINT8, [MAPS // 8])
LOGITS = ("logits", TensorProto.FLOAT, [1, 10])


def pools(g, x, name, axes, keepdims):
    return [g.node(op, [x], "%s.%s" % (name, op[6:].lower()), axes=axes, keepdims=keepdims)
            for op in ("ReduceMean", "ReduceMax")]


def write_extractor(g, part):
    """From pixels to features and importance."""
    x = g.node("Cast", ["pixels"], "pixels.float", to=TensorProto.FLOAT)
    x = g.node("Mul", [x, g.floats("unit", 1.0 / (255.0 * SPREAD))], "pixels.scaled")
    x = g.node("Sub", [x, g.floats("centre", MEAN / SPREAD)], "pixels.centred")
    for name in ("stem", "down1", "down2"):
        x = g.conv_norm(x, getattr(part, name), name)
    pooled = g.node("Concat", pools(g, x, "channel", [2, 3], 0), "channel.pooled", axis=0)
    pooled = g.linear(pooled, part.squeeze, "channel.squeeze", "channel.squeezed")
    pooled = g.node("Relu", [pooled], "channel.relu")
    pooled = g.linear(pooled, part.excite, "channel.excite", "channel.excited")
    pooled = g.node("ReduceSum", [pooled, g.ints("axis0", [0])], "channel.sum", keepdims=0)
    pooled = g.node("Sigmoid", [pooled], "channel.attention")
    pooled = g.node("Reshape", [pooled, g.ints("channel.shape", [1, MAPS, 1, 1])],
                    "channel.weight")
    x = g.node("Mul", [x, pooled], "channel.attended")
    where = g.node("Concat", pools(g, x, "spatial", [1], 1), "spatial.pooled", axis=1)
    where = g.node("Conv", [where, g.floats("spatial.weight",
                                            part.spatial.weight.detach().numpy()),
                            g.floats("spatial.bias", part.spatial.bias.detach().numpy())],
                   "spatial.conv", kernel_shape=[7, 7], pads=[3, 3, 3, 3])
    where = g.node("Sigmoid", [where], "spatial.attention")
    x = g.node("Mul", [x, where], "features")
    mean = g.node("ReduceMean", [x], "map.mean", axes=[2, 3], keepdims=0)
    total = g.node("ReduceSum", [mean, g.ints("axis1", [1])], "map.sum", keepdims=1)
    total = g.node("Add", [total, g.floats("tiny", 1e-9)], "map.total")
    g.node("Div", [mean, total], "importance")


def write_select(path):
    """Which maps go: the least important ones, told by a bitmap, low bit first."""
    g = Graph("select")
    g.nodes.append(helper.make_node("TopK", ["importance", "secondary_count"],
                                    ["least.value", "least.index"], "least", axis=1,
                                    largest=0))
    count = g.node("Shape", ["least.index"], "least.shape")
    ones = g.node("ConstantOfShape", [count], "least.one",
                  value=numpy_helper.from_array(np.ones(1, np.float32)))
    mask = g.node("ScatterElements", [g.floats("none", np.zeros((1, MAPS))), "least.index",
                                      ones], "is_secondary", axis=1)
    rest = g.node("Sub", [g.floats("one", 1.0), mask], "is_primary")
    for part, of in (("primary", rest), ("secondary", mask)):
        index = g.node("NonZero", [g.node("Reshape", [of, g.ints(part + ".flat", [MAPS])],
                                          part + ".mask")], part + ".place")
        index = g.node("Reshape", [index, g.ints(part + ".list", [-1])], part + ".index")
        g.node("Gather", ["features", index], part, axis=1)
    octets = g.node("Reshape", [mask, g.ints("octets", [MAPS // 8, 8])], "mask.octets")
    octets = g.node("MatMul", [octets, g.floats("bits", [2.0 ** i for i in range(8)])],
                    "mask.sum")
    g.node("Cast", [octets], "bitmap", to=TensorProto.UINT8)
    g.save(path, [FEATURES, IMPORTANCE, ("secondary_count", TensorProto.INT64, [1])],
           [PRIMARY, SECONDARY, BITMAP])


def folded(part):
    """Weight and bias of a convolution with its normalisation, and that one's scale."""
    scale = part.norm.weight / torch.sqrt(part.norm.running_var + part.norm.eps)
    weight = part.conv.weight * scale[:, None, None, None]
    bias = part.norm.bias - part.norm.running_mean * scale
    return weight.detach().numpy(), bias.detach().numpy(), scale.detach()


def write_rest(g, x, part):
    x = g.conv_norm(g.node("Relu", [x], "first.relu"), part.second, "second")
    if part.deeper:
        more = g.conv_norm(x, part.deeper[0], "third")
        more = g.conv_norm(more, part.deeper[1], "fourth")
        x = g.node("Relu", [g.node("Add", [x, more], "deeper.sum")], "deeper.relu")
    x = g.node("ReduceMean", [x], "pooled", axes=[2, 3], keepdims=0)
    g.linear(x, part.classify, "classify", "logits")


def write_half(path, name, part, maps, is_primary):
    """A tail for some of the maps, in their order; the bitmap says which: it gathers the
    weights of those, so that its work follows their number. The cloud's is larger, and
    therefore kept smaller."""
    g = Graph(name, is_small=not is_primary)
    x = g.node("Reshape", ["bitmap", g.ints("column", [MAPS // 8, 1])], "bitmap.column")
    x = g.node("BitShift", [x, g.weight("places", np.arange(8, dtype=np.uint8))],
               "bitmap.shifted", direction="RIGHT")
    x = g.node("Mod", [x, g.weight("two", np.asarray(2, np.uint8))], "bitmap.bits")
    x = g.node("Reshape", [x, g.ints("row", [1, MAPS])], "bitmap.row")
    sent = g.node("Cast", [x], "is_secondary", to=TensorProto.FLOAT)
    kept = g.node("Sub", [g.floats("one", 1.0), sent], "is_primary")
    here, gone = (kept, sent) if is_primary else (sent, kept)
    index = g.node("NonZero", [g.node("Reshape", [here, g.ints("flat", [MAPS])],
                                      "here.flat")], "here.place")
    index = g.node("Reshape", [index, g.ints("list", [-1])], "here.index")
    weight, bias, scale = folded(part.first)
    weight = g.node("Gather", [g.kernel("first.weight", weight), index], "first.here",
                    axis=1)
    x = g.node("Conv", [maps[0], weight], "first.conv", kernel_shape=[3, 3],
               pads=[1, 1, 1, 1])
    absent = (part.absent * scale).detach().numpy()
    bias = g.node("Gemm", [gone, g.floats("absent", absent), g.floats("first.bias", bias)],
                  "first.constant")
    bias = g.node("Reshape", [bias, g.ints("first.shape", [1, len(scale), 1, 1])],
                  "first.added")
    write_rest(g, g.node("Add", [x, bias], "first.sum"), part)
    g.save(path, [maps, BITMAP], [LOGITS])


def drawn_picture(number):
    """A smooth picture from a formula, which the tests know too: uint8 [1,3,32,32]."""
    plane, y, x = np.meshgrid(np.arange(3), np.arange(32), np.arange(32), indexing="ij")
    value = x * (3 + number) + y * (5 + 2 * plane) + x * y * (plane + number) // 8
    return torch.from_numpy((value % 256).astype(np.uint8))[None]


def write_reference(net, fusion, path):
    """PyTorch's own probabilities for some drawn pictures, one line each."""
    rows = []
    for number in range(4):
        extracted = extract_all(net, drawn_picture(number))
        for row in fusion[1:-1:4]:
            edge, cloud = probabilities(answers(net, extracted, row["share"]), row)
            fused = F.softmax(pool(edge, cloud, row["lambda"], row["temperature"]), 1)
            rows.append({"picture": number, "share": row["share"]} | {
                name: [round(x, 6) for x in p[0].tolist()]
                for name, p in (("edge", edge), ("cloud", cloud), ("fused", fused))})
    with open(path, "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


def write_all(net, fusion, out):
    net.eval()
    os.makedirs(out, exist_ok=True)
    g = Graph("extract")
    write_extractor(g, net.extract)
    g.save(os.path.join(out, "extract.onnx"), [PIXELS], [FEATURES, IMPORTANCE])
    write_select(os.path.join(out, "select.onnx"))
    write_half(os.path.join(out, "edge.onnx"), "edge", net.edge, PRIMARY, True)
    write_half(os.path.join(out, CLOUD), "cloud", net.cloud, SECONDARY, False)
    g = Graph("whole")
    write_extractor(g, net.extract)
    g.nodes = g.nodes[:[n.name for n in g.nodes].index("features") + 1]
    weight, bias, _ = folded(net.full.first)
    write_rest(g, g.node("Conv", ["features", g.floats("first.weight", weight),
                                  g.floats("first.bias", bias)], "first.conv",
                         kernel_shape=[3, 3], pads=[1, 1, 1, 1]), net.full)
    used = {name for node in g.nodes for name in node.input}
    g.weights = [weight for weight in g.weights if weight.name in used]
    g.save(os.path.join(out, "whole.onnx"), [PIXELS], [LOGITS])
    manifest = {"maps": MAPS, "extract": "extract.onnx", "select": "select.onnx",
                "edge": "edge.onnx", "cloud": CLOUD, "whole": "whole.onnx",
                "fusion": fusion}
    with open(os.path.join(out, "features.json"), "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2)
        file.write("\n")
    write_reference(net, fusion, os.path.join(out, "reference.json"))
    total = 0
    for name in sorted(n for n in os.listdir(out) if n.endswith((".onnx", ".json"))):
        with open(os.path.join(out, name), "rb") as file:
            body = file.read()
        total += len(body)
        print("%s  %8d  %s" % (hashlib.sha256(body).hexdigest(), len(body), name))
    print("total %d bytes" % total)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Train a network whose feature maps are shared by edge and cloud.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data", default="../shared/data/cifar10",
                        help="folder with train_50000_jpeg.tar, test_A_5000.bin, classes.txt")
    parser.add_argument("-o", "--out", default="etc/dvfo", help="folder to write into")
    parser.add_argument("--checkpoint", help="file to keep state in, and to go on from")
    parser.add_argument("--seed", type=int, default=1, help="seed of every random choice")
    parser.add_argument("--passes", type=int, default=1000,
                        help="of each phase at most, to try something")
    parser.add_argument("--batch", type=int, default=128, help="pictures a step")
    return parser.parse_args()


def main():
    args = parse_arguments()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    rng = torch.Generator().manual_seed(args.seed)
    with open(os.path.join(args.data, "classes.txt"), encoding="utf-8") as file:
        classes = file.read().split()
    pixels, labels = load_training(os.path.join(args.data, "train_50000_jpeg.tar"), classes)
    order = torch.randperm(len(labels), generator=rng)
    kept, held = order[HELD_OUT:], order[:HELD_OUT]

    net = Network().to(memory_format=torch.channels_last)
    began = time.process_time()
    train(net, pixels[kept], labels[kept], args, rng)
    print("torch %s, seed %d, %d pictures, %.1f minutes of a core" % (
        torch.__version__, args.seed, len(kept), (time.process_time() - began) / 60))
    fusion = fit_fusion(net, pixels[held], labels[held])
    write_all(net, fusion, args.out)
    compare_fusions(net, pixels[held], labels[held])
    report(net, *load_records(os.path.join(args.data, "test_A_5000.bin")), fusion)
    return 0


if __name__ == "__main__":
    sys.exit(main())
