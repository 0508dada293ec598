#!/usr/bin/env python3
"""Writes etc/devices/*/board.json, the device models (docs/device-model.md).

What is published is here as published, with its source; rates by operator class are
fitted to published times of whole networks, and the error of each fit is printed and
noted in the model. What nobody published is marked as assumed. Usage: make_boards.py
[OUT], default etc/devices.
"""
import json
import pathlib
import sys

# Millions of multiply-accumulates of the networks that ncnn's benchmark runs, by class:
# convolutions, depthwise ones, fully connected layers.
NETWORKS = {
    "squeezenet": (352.0, 0, 0),
    "mobilenet": (550.4, 17.4, 1.02),
    "mobilenet_v2": (279.2, 20.3, 1.28),
    "googlenet": (1582.0, 0, 1.02),
    "resnet18": (1813.6, 0, 0.51),
    "alexnet": (666.0, 0, 58.6),
    "vgg16": (15346.6, 0, 123.6),
    "resnet50": (3858.0, 0, 2.05),
}
CLASSES = ("conv", "depthwise", "matmul")
# Their average milliseconds in ncnn's benchmark/README.md (Tencent/ncnn at a4d2ea1).
NCNN = {
    ("rpi4", 4): (46.65, 61.17, 61.88, 114.35, 123.12, 76.40, 547.09, 262.83),
    ("rpi4", 1): (73.96, 124.32, 93.48, 235.94, 191.10, 139.40, 1071.85, 534.11),
    ("jetson-nano-cpu", 4): (30.59, 42.05, 33.83, 93.12, 83.44, 89.98, 447.39, 204.08),
    ("jetson-nano-cpu", 1): (86.14, 137.63, 93.99, 287.11, 221.60, 284.87, 1242.90,
                             624.84),
}


def fit(rows):
    """Rates of the classes and a fixed time that are nearest to the rows, in relative
    terms; non-negative least squares by coordinate descent. Returns the rates (MAC/s, None
    where nothing is seen of a class), the fixed ms and the relative errors."""
    terms = [[macs / ms for macs in NETWORKS[name]] + [1 / ms] for name, ms in rows]
    scale = [max(row[k] for row in terms) or 1 for k in range(4)]
    x = [0.0] * 4
    for _ in range(20000):
        for k in range(4):
            a = [row[k] / scale[k] for row in terms]
            rest = [1 - sum(row[j] / scale[j] * x[j] for j in range(4) if j != k)
                    for row in terms]
            norm = sum(v * v for v in a)
            x[k] = max(0.0, sum(v * r for v, r in zip(a, rest)) / norm) if norm else 0.0
    found = [x[k] / scale[k] for k in range(4)]
    errors = sorted(abs(1 - sum(t * f for t, f in zip(row, found))) for row in terms)
    return [None if f <= 0 else 1e9 / f for f in found[:3]], found[3], errors


def round_to(value, digits=4):
    return float(f"%.{digits}g" % value)


def fitted_unit(machine, threads):
    """A unit's rates and fixed time from ncnn's table, and the lines that say so."""
    rows = list(zip(NETWORKS, NCNN[machine, threads]))
    rates, fixed_ms, errors = fit(rows)
    median = (errors[len(errors) // 2] + errors[(len(errors) - 1) // 2]) / 2
    note = (f"fitted to ncnn's published times of {len(rows)} networks, {threads} threads: "
            f"median error {100 * median:.0f} %, worst {100 * errors[-1]:.0f} %")
    print(f"{machine}: {note}")
    unit = {"macs_per_s": {}, "fixed_ms": round_to(fixed_ms)}
    for name, rate in zip(CLASSES, rates):
        unit["macs_per_s"][name] = round_to(rate)
    return unit, note


def knob(kind, values):
    return {"part": "edge", "kind": kind, "values": values}


def ordered(*values):
    return knob("ordered", list(values))


def nominal(*values):
    return knob("nominal", list(values))


def rpi4():
    unit, note = fitted_unit("rpi4", 4)
    unit["macs_per_s"]["other"] = unit["macs_per_s"]["depthwise"]
    unit["effects"] = {
        "edge.cpu_khz": {"reference": 1800000, "exponent": 0.9375,
                         "power_w": [[600000, 3.1], [1000000, 3.7], [1400000, 4.5],
                                     [1800000, 5.4]]},
        "edge.threads": {"reference": 4, "exponent": 0.5,
                         "power_share": [[1, 0.45], [2, 0.65], [4, 1]]},
    }
    return {
        "machine": "Raspberry Pi 4 Model B (4 x Cortex-A72), whole networks as ncnn runs them",
        "boundary": "board",
        "knobs": {"edge.cpu_khz": ordered(*range(600000, 1800001, 100000)),
                  "edge.threads": ordered(1, 2, 3, 4)},
        "switch_ms": {"edge.cpu_khz": 1, "edge.threads": 1},
        "idle_w": 2.2,
        "units": {"cpu": unit},
        "sources": {
            "switch_ms": "assumed: two writes to sysfs, or a thread pool made anew",
            "idle_w": "published measurements of the board: 2.2 W idle, 5.4 W at full load",
            "units.cpu.macs_per_s": note,
            "units.cpu.macs_per_s.other": "assumed: as depthwise",
            "units.cpu.fixed_ms": note,
            "units.cpu.effects.edge.cpu_khz.reference": "the published times' clock",
            "units.cpu.effects.edge.cpu_khz.exponent":
                "fitted to DynaSplit's measurements on this board (rpi4-coral, \"off\")",
            "units.cpu.effects.edge.cpu_khz.power_w":
                "1800 MHz: published, 5.4 W at full load; lower clocks are assumed",
            "units.cpu.effects.edge.threads":
                "exponent: ncnn's times of one thread against four (1.5 to 2.1 times as "
                "long); what fewer threads draw is assumed",
        },
    }


DYNASPLIT = ("fitted to one half of the settings that DynaSplit's authors measured with "
             "VGG16 (replication package hpc-tuwien/SPLINTER); the other half: "
             "etc/devices/README.md")


def coral_unit(conv, matmul, exponent, fixed_ms, crossing, watts):
    clocks = range(600000, 1800001, 200000)
    return {
        "macs_per_s": {"conv": conv, "depthwise": round_to(conv / 8, 3), "matmul": matmul,
                       "other": round_to(conv / 8, 3)},
        "crossing_bytes_per_s": crossing,
        "fixed_ms": fixed_ms,
        "effects": {"edge.cpu_khz": {"reference": 1800000, "exponent": exponent,
                                     "power_w": [list(p) for p in zip(clocks, watts)]}},
    }


def rpi4_coral():
    units = {
        "off": coral_unit(9.054e9, 1e13, 0.9375, 57.78, 3.723e8,
                          (2.86, 2.34, 3.29, 3.41, 3.59, 3.91, 4.26)),
        "std": coral_unit(5.283e11, 4.289e8, 0.6121, 9.271, 3.027e7,
                          (4.13, 5.16, 5.38, 5.74, 6.24, 6.63, 7.5)),
        "max": coral_unit(4.912e11, 3.806e8, 0.4102, 8.053, 2.869e7,
                          (4.64, 5.56, 5.73, 5.35, 5.76, 7.02, 6.91)),
    }
    sources = {
        "switch_ms": "assumed: sysfs for the clock; the accelerator's USB device comes back "
                     "and its runtime is loaded anew",
        "idle_w": DYNASPLIT,
        "units": DYNASPLIT,
        "units.off.macs_per_s.matmul": DYNASPLIT + "; too fast to be seen in them",
    }
    for name in units:
        for which in ("depthwise", "other"):
            sources[f"units.{name}.macs_per_s.{which}"] = "assumed: an eighth of conv"
    return {
        "machine": "Raspberry Pi 4B with a Coral USB accelerator (off, standard and maximum "
                   "clock), at the plug",
        "boundary": "wall",
        "knobs": {"edge.cpu_khz": ordered(*range(600000, 1800001, 100000)),
                  "edge.accelerator": nominal("off", "std", "max")},
        "switch_ms": {"edge.cpu_khz": 1, "edge.accelerator": 2500},
        "idle_w": 4.21,
        "unit": "edge.accelerator",
        "units": units,
        "sources": sources,
    }


def gpu_server():
    def unit(conv, matmul, fixed_ms, watts):
        return {"macs_per_s": {"conv": conv, "depthwise": round_to(conv / 8, 3),
                               "matmul": matmul, "other": round_to(conv / 8, 3)},
                "fixed_ms": fixed_ms, "power_w": watts}
    sources = {
        "switch_ms": "assumed: both are kept ready",
        "idle_w": "assumed: half of what it draws at work",
        "units": DYNASPLIT,
    }
    for name in ("off", "on"):
        for which in ("depthwise", "other"):
            sources[f"units.{name}.macs_per_s.{which}"] = "assumed: an eighth of conv"
    return {
        "machine": "DynaSplit's server, without and with its GPU, the whole node, its request "
                   "handling in fixed_ms",
        "boundary": "wall",
        "knobs": {"edge.accelerator": nominal("off", "on")},
        "switch_ms": {"edge.accelerator": 0},
        "idle_w": 450,
        "unit": "edge.accelerator",
        "units": {"off": unit(3.166e11, 2.222e9, 69.35, 929.3),
                  "on": unit(2.134e12, 5.117e10, 68.81, 904.5)},
        "sources": sources,
    }


def jetson_nano():
    cpu, note = fitted_unit("jetson-nano-cpu", 4)
    cpu["macs_per_s"]["other"] = cpu["macs_per_s"]["depthwise"]
    cpu["effects"] = {
        "edge.cpu_khz": {"reference": 1428000, "exponent": 0.95,
                         "power_w": [[102000, 2.0], [710400, 3.0], [1479000, 5.5]]},
        "edge.threads": {"reference": 4, "exponent": 0.8,
                         "power_share": [[1, 0.4], [2, 0.6], [4, 1]]},
    }
    gpu = {
        "macs_per_s": {"conv": 4.477e10, "depthwise": 5.6e9, "matmul": 4.477e10,
                       "other": 5.6e9},
        "fixed_ms": 37.8,
        "effects": {
            "edge.gpu_khz": {"reference": 921600, "exponent": 1,
                             "power_w": [[153600, 2.27], [460800, 3.78], [691200, 4.73],
                                         [921600, 6.22]]},
            "edge.cpu_khz": {"reference": 1479000, "exponent": {"fixed": 0.8}},
            "edge.mem_khz": {"reference": 1600000, "exponent": {"macs": 0.2},
                             "power_share": [[204000, 0.8], [1600000, 1]]},
        },
    }
    gpu_note = ("published GPU sweep of an Inception network, board power (iloudaros/LoudVA): "
                "37.8 ms + 117.6 / f(GHz) ms")
    return {
        "machine": "NVIDIA Jetson Nano (4 x Cortex-A57, 128-core Maxwell), at the board's input",
        "boundary": "board",
        "knobs": {
            "edge.cpu_khz": ordered(102000, 204000, 307200, 403200, 518400, 614400, 710400,
                                    825600, 921600, 1036800, 1132800, 1224000, 1326000,
                                    1428000, 1479000),
            "edge.gpu_khz": ordered(*range(76800, 921601, 76800)),
            "edge.mem_khz": ordered(204000, 408000, 665600, 800000, 1065600, 1331200,
                                    1600000),
            "edge.threads": ordered(1, 2, 3, 4),
            "edge.provider": nominal("cpu", "cuda"),
        },
        "switch_ms": {"edge.cpu_khz": 1, "edge.gpu_khz": 1, "edge.mem_khz": 1,
                      "edge.threads": 1, "edge.provider": 0},
        "idle_w": 1.7,
        "unit": "edge.provider",
        "units": {"cpu": cpu, "cuda": gpu},
        "sources": {
            "switch_ms": "assumed: two writes to sysfs; both providers are kept ready",
            "idle_w": "assumed: where the published sweep's powers lead at no clock",
            "units.cpu": note,
            "units.cpu.macs_per_s.other": "assumed: as depthwise",
            "units.cpu.effects": "assumed; threads' exponent: ncnn's times of one thread "
                                 "against four (2.6 to 3.3 times as long)",
            "units.cuda": gpu_note,
            "units.cuda.macs_per_s.conv": gpu_note + "; the network is taken to be Inception "
                                          "v3, 5.71e9 multiply-accumulates",
            "units.cuda.macs_per_s.depthwise": "assumed: an eighth of conv",
            "units.cuda.macs_per_s.matmul": "assumed: as conv",
            "units.cuda.macs_per_s.other": "assumed: an eighth of conv",
            "units.cuda.effects.edge.gpu_khz.power_w":
                "published at these four clocks (iloudaros/LoudVA); straight lines assumed",
            "units.cuda.effects.edge.cpu_khz": "assumed: fixed costs are the CPU's",
            "units.cuda.effects.edge.mem_khz": "assumed",
        },
    }


BOARDS = {"rpi4": rpi4, "rpi4-coral": rpi4_coral, "gpu-server": gpu_server,
          "jetson-nano": jetson_nano}


def dump(value, indent=0):
    """JSON with lists on one line, and objects of few words too."""
    flat = json.dumps(value)
    if not isinstance(value, dict) or (len(flat) + indent < 78 and
                                       not any(isinstance(v, dict) for v in value.values())):
        return flat
    pad = " " * (indent + 1)
    members = [f"{pad}{json.dumps(key)}: {dump(member, indent + 1)}"
               for key, member in value.items()]
    return "{\n" + ",\n".join(members) + "\n" + " " * indent + "}"


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "etc/devices")
    for name, make in BOARDS.items():
        board = {"format": "wattshed-board", "version": 1, "name": name, **make()}
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "board.json").write_text(dump(board) + "\n", encoding="utf-8")


main()
