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

# What ncnn's benchmark runs, as `wattshed` counts it: millions of multiply-accumulates of
# convolutions, depthwise ones and fully connected layers, and megabytes that all but the
# last read and write, weights included.
NETWORKS = {
    "squeezenet": (349.2, 0, 0, 63.0),
    "mobilenet": (550.3, 17.4, 1.02, 94.1),
    "mobilenet_v2": (278.8, 20.7, 1.28, 114.4),
    "googlenet": (1430.5, 0, 1.02, 107.5),
    "resnet18": (1813.6, 0, 0.51, 94.9),
    "alexnet": (595.9, 0, 58.6, 24.3),
    "vgg16": (15346.6, 0, 123.6, 288.7),
    "resnet50": (4087.1, 0, 2.05, 328.5),
}
CLASSES = ("conv", "depthwise", "matmul")
NCNN = "Tencent/ncnn at a4d2ea1, benchmark/README.md"
# Milliseconds there, in the order of NETWORKS: machine, processor and threads. The average,
# or the least where single runs of the average are far out (rpi5, jetson-tx2, agx-xavier).
TIMES = {
    ("rpi4", "cpu", 4): (46.65, 61.17, 61.88, 114.35, 123.12, 76.40, 547.09, 262.83),
    ("rpi5", "cpu", 4): (6.74, 9.00, 10.46, 25.13, 19.84, 21.21, 127.75, 45.94),
    ("jetson-nano", "cpu", 4): (30.59, 42.05, 33.83, 93.12, 83.44, 89.98, 447.39, 204.08),
    ("jetson-nano", "gpu", 1): (13.55, 16.15, 12.99, 43.52, 44.01, 74.14, 310.44, 93.21),
    ("jetson-tx2", "cpu", 6): (19.92, 27.25, 21.95, 59.37, 51.99, 41.42, 253.75, 305.79),
    ("jetson-tx2", "gpu", 1): (5.10, 6.61, 6.66, 15.48, 12.69, 20.49, 62.43, 29.96),
    ("agx-xavier", "cpu", 4): (8.39, 11.48, 9.44, 23.10, 15.42, 15.56, 71.70, 47.40),
    ("agx-xavier", "gpu", 1): (4.85, 5.62, 5.96, 12.57, 8.88, 9.06, 18.12, 11.62),
    ("rk3288", "cpu", 4): (56.69, 84.23, 71.54, 163.19, 173.24, 157.59, 960.60, 404.01),
    ("banana-pi", "cpu", 4): (231.49, 329.88, 277.55, 651.19, 698.28, 598.66, None,
                              1606.86),
    ("i7-9750h", "cpu", 1): (15.55, 22.77, 16.36, 69.40, 85.32, 74.43, 250.99, 133.27),
}


def fit(rows, has_fixed):
    """Rates of the classes and of bytes, and a fixed time, that are nearest to the rows in
    relative terms; non-negative least squares by coordinate descent. Returns units a second
    (None where nothing is seen of a kind), the fixed ms and the relative errors."""
    terms = [[amount / ms for amount in NETWORKS[name]] + ([1 / ms] if has_fixed else [])
             for name, ms in rows]
    count = len(terms[0])
    scale = [max(row[k] for row in terms) or 1 for k in range(count)]
    x = [0.0] * count
    for _ in range(20000):
        for k in range(count):
            a = [row[k] / scale[k] for row in terms]
            rest = [1 - sum(row[j] / scale[j] * x[j] for j in range(count) if j != k)
                    for row in terms]
            norm = sum(v * v for v in a)
            x[k] = max(0.0, sum(v * r for v, r in zip(a, rest)) / norm) if norm else 0.0
    found = [x[k] / scale[k] for k in range(count)]
    errors = sorted(abs(1 - sum(t * f for t, f in zip(row, found))) for row in terms)
    return ([None if f <= 0 else 1e9 / f for f in found[:4]],
            found[4] if has_fixed else 0, errors)


def round_to(value, digits=4):
    return float(f"%.{digits}g" % value)


def fitted_unit(machine, processor, threads, scale=1):
    """A unit's rates and fixed time from ncnn's table, and its sources. A graphics
    processor has launches to pay for, whatever it runs."""
    rows = [row for row in zip(NETWORKS, TIMES[machine, processor, threads]) if row[1]]
    rates, fixed_ms, errors = fit(rows, processor == "gpu")
    median = (errors[len(errors) // 2] + errors[(len(errors) - 1) // 2]) / 2
    threads = f", {threads} threads" if threads > 1 else ""
    note = (f"fitted to published times of {len(rows)} networks ({NCNN}; {machine}, "
            f"{processor}{threads}): median error {100 * median:.0f} %, worst "
            f"{100 * errors[-1]:.0f} %")
    print(f"{machine} {processor}{threads}: {note[note.index('median'):]}")
    if scale != 1:
        note = f"assumed: {scale:.3g} times what was {note}"
    unseen = "assumed: as conv; what the fit saw of it is in its bytes"
    conv = rates[0]
    unit = {"macs_per_s": {}, "bytes_per_s": {}}
    sources = {"macs_per_s": note, "bytes_per_s": note, "fixed_ms": note,
               "macs_per_s.other": "assumed: as conv; it multiplies next to nothing"}
    for name, rate in zip(CLASSES, rates):
        unit["macs_per_s"][name] = round_to((rate or conv) * scale)
        if rate is None:
            sources[f"macs_per_s.{name}"] = unseen
    unit["macs_per_s"]["other"] = unit["macs_per_s"]["conv"]
    for name in ("conv", "depthwise", "other"):
        unit["bytes_per_s"][name] = round_to(rates[3] * scale)
    unit["fixed_ms"] = round_to(fixed_ms / scale)
    if not fixed_ms:
        unit["fixed_ms"] = 0.2
        sources["fixed_ms"] = "assumed: a call into the runtime"
    return unit, sources


def prefixed(prefix, sources):
    return {f"{prefix}.{key}": text for key, text in sources.items()}


def knob(kind, values):
    return {"part": "edge", "kind": kind, "values": values}


def ordered(*values):
    return knob("ordered", list(values))


def nominal(*values):
    return knob("nominal", list(values))


SYSFS = "assumed: writes to sysfs"


def cpu_only(machine, table, clocks, reference, exponent, idle_w, watts, threads, sources):
    """A board whose one unit is its processor."""
    unit, fitted = fitted_unit(*table)
    unit["effects"] = {
        "edge.cpu_khz": {"reference": reference, "exponent": exponent, "power_w": watts},
        "edge.threads": threads,
    }
    count = int(threads["power_share"][-1][0])
    return {
        "machine": machine,
        "boundary": "board",
        "knobs": {"edge.cpu_khz": ordered(*clocks),
                  "edge.threads": ordered(*range(1, count + 1))},
        "switch_ms": {"edge.cpu_khz": 1, "edge.threads": 1},
        "idle_w": idle_w,
        "units": {"cpu": unit},
        "sources": {"switch_ms": SYSFS + ", or a thread pool made anew",
                    **prefixed("units.cpu", fitted), **sources},
    }


CPU_CLOCK = "units.cpu.effects.edge.cpu_khz"
CPU_THREADS = "units.cpu.effects.edge.threads"


def rpi4():
    return cpu_only(
        "Raspberry Pi 4 Model B (4 x Cortex-A72)", ("rpi4", "cpu", 4),
        range(600000, 1800001, 100000), 1800000, 0.9375, 2.2,
        [[600000, 3.1], [1000000, 3.7], [1400000, 4.5], [1800000, 5.4]],
        {"reference": 4, "exponent": 0.5, "power_share": [[1, 0.45], [2, 0.65], [4, 1]]},
        {"idle_w": "published measurement: 2.2 W idle, 5.4 W at high load "
                   "(chipwired.com/raspberry-pi-power-use)",
         CPU_CLOCK + ".reference": "the clock of the published times",
         CPU_CLOCK + ".exponent": "fitted to DynaSplit's measurements on this board (rpi4-coral, "
                                  "\"off\")",
         CPU_CLOCK + ".power_w": "1800 MHz: published, 5.4 W at high load (as idle_w); lower "
                                 "clocks are assumed",
         CPU_THREADS: "exponent: ncnn's times of one thread against four (1.5 to 2.1 times as "
                      "long); what fewer threads draw is assumed"})


def rpi5():
    return cpu_only(
        "Raspberry Pi 5 (4 x Cortex-A76)", ("rpi5", "cpu", 4),
        range(1500000, 2400001, 100000), 2400000, 0.94, 3.0,
        [[1500000, 5.2], [2000000, 6.6], [2400000, 8.2]],
        {"reference": 4, "exponent": 0.48, "power_share": [[1, 0.45], [2, 0.65], [4, 1]]},
        {"idle_w": "assumed",
         CPU_CLOCK + ".reference": "the clock of the published times",
         CPU_CLOCK + ".exponent": "assumed: as on the Raspberry Pi 4",
         CPU_CLOCK + ".power_w": "assumed",
         CPU_THREADS: "exponent: ncnn's times of one thread against four (1.5 to 2.3 times as "
                      "long); what fewer threads draw is assumed"})


def laptop():
    board = cpu_only(
        "a laptop with an Intel Core i7-9750H (6 cores), the processor's package",
        ("i7-9750h", "cpu", 1), (800000, 1200000, 1600000, 2000000, 2600000, 3200000,
                                 3800000, 4500000),
        4500000, 0.9, 2.5,
        [[800000, 7], [1600000, 12], [2600000, 24], [3800000, 52], [4500000, 80]],
        {"reference": 1, "exponent": 0.8,
         "power_share": [[1, 0.3], [2, 0.45], [4, 0.75], [6, 1]]},
        {"idle_w": "assumed",
         CPU_CLOCK: "assumed; the published times are of one thread, which turns at up to "
                    "4.5 GHz",
         CPU_THREADS: "assumed"})
    board["boundary"] = "package"
    return board


def odroid_xu4():
    """Clusters: 0-3 are the Cortex-A7, 4-7 the Cortex-A15."""
    little, little_sources = fitted_unit("banana-pi", "cpu", 4, 1400 / 1200)
    big, big_sources = fitted_unit("rk3288", "cpu", 4, 2000 / 1800)
    both = {"macs_per_s": {}, "bytes_per_s": {}, "fixed_ms": 0.2}
    for kind in ("macs_per_s", "bytes_per_s"):
        for name in big[kind]:
            both[kind][name] = round_to(0.9 * (little[kind][name] + big[kind][name]))
    sbc = ("published at the plug of its sibling HC2 (ThomasKaiser/sbc-bench, "
           "Efficiency_Graphing.md)")
    big_watts = [[500000, 5.125], [700000, 5.595], [900000, 6.115], [1100000, 6.74],
                 [1300000, 7.44], [1500000, 8.28], [1700000, 9.545], [1800000, 10.255],
                 [1900000, 11.32], [2000000, 12.64]]
    all_watts = [[500000, 5.51], [700000, 5.825], [900000, 6.345], [1100000, 7.23],
                 [1300000, 8.04], [1500000, 8.96], [1700000, 10.265], [1800000, 10.87],
                 [1900000, 12.125], [2000000, 13.195]]
    little["effects"] = {"edge.cpu_khz": {"reference": 1400000, "exponent": 0.9,
                                          "power_w": [[500000, 4.405], [1300000, 5.195]]}}
    big["effects"] = {"edge.cpu4_khz": {"reference": 2000000, "exponent": 0.82,
                                        "power_w": big_watts}}
    both["effects"] = {"edge.cpu4_khz": {"reference": 2000000, "exponent": 0.75,
                                         "power_w": all_watts},
                       "edge.cpu_khz": {"reference": 1400000, "exponent": 0.15}}
    return {
        "machine": "Odroid XU4 (4 x Cortex-A15, 4 x Cortex-A7), at the plug",
        "boundary": "wall",
        "knobs": {"edge.cpu_khz": ordered(*range(200000, 1400001, 100000)),
                  "edge.cpu4_khz": ordered(*range(200000, 2000001, 100000)),
                  "edge.cpus": nominal("0-3", "4-7", "0-7")},
        "switch_ms": {"edge.cpu_khz": 0.14, "edge.cpu4_khz": 0.14, "edge.cpus": 1},
        "idle_w": 3.89,
        "unit": "edge.cpus",
        "units": {"0-3": little, "4-7": big, "0-7": both},
        "sources": {
            "switch_ms": "clocks: published, a transition takes 140 us; edge.cpus: assumed",
            "idle_w": sbc,
            **prefixed("units.0-3", little_sources),
            **prefixed("units.4-7", big_sources),
            "units.0-7": "assumed: nine tenths of both clusters' rates together; no slower "
                         "call into the runtime",
            "units.0-3.effects.edge.cpu_khz": "assumed",
            "units.0-3.effects.edge.cpu_khz.power_w": sbc,
            "units.4-7.effects.edge.cpu4_khz": sbc + ": 7-Zip's MIPS at 500 and 2000 MHz",
            "units.4-7.effects.edge.cpu4_khz.power_w": sbc,
            "units.0-7.effects.edge.cpu4_khz": sbc + ": 7-Zip's MIPS at 500 and 2000 MHz",
            "units.0-7.effects.edge.cpu4_khz.power_w": sbc,
            "units.0-7.effects.edge.cpu_khz": "assumed",
        },
    }


def jetson(machine, clocks, cpu, cpu_sources, gpu, gpu_sources, idle_w, idle_source, watts,
           watts_source, threads):
    """A Jetson: processor, graphics processor and memory each with a clock."""
    cpu_khz, gpu_khz, mem_khz = clocks
    cpu["effects"] = {
        "edge.cpu_khz": {"reference": cpu_khz[-1], "exponent": {"macs": 0.95, "fixed": 0.9},
                         "power_w": watts["cpu"]},
        "edge.mem_khz": {"reference": mem_khz[-1], "exponent": {"bytes": 0.8},
                         "power_share": [[mem_khz[0], 0.8], [mem_khz[-1], 1]]},
        "edge.threads": threads,
    }
    gpu["effects"] = {
        "edge.gpu_khz": {"reference": gpu_khz[-1], "exponent": {"macs": 1},
                         "power_w": watts["gpu"]},
        "edge.cpu_khz": {"reference": cpu_khz[-1], "exponent": {"fixed": 0.8},
                         "power_share": [[cpu_khz[0], 0.85], [cpu_khz[-1], 1]]},
        "edge.mem_khz": {"reference": mem_khz[-1], "exponent": {"bytes": 0.8},
                         "power_share": [[mem_khz[0], 0.8], [mem_khz[-1], 1]]},
    }
    count = int(threads["power_share"][-1][0])
    return {
        "machine": machine,
        "boundary": "board",
        "knobs": {"edge.cpu_khz": ordered(*cpu_khz), "edge.gpu_khz": ordered(*gpu_khz),
                  "edge.mem_khz": ordered(*mem_khz),
                  "edge.threads": ordered(*range(1, count + 1)),
                  "edge.provider": nominal("cpu", "cuda")},
        "switch_ms": {"edge.cpu_khz": 1, "edge.gpu_khz": 1, "edge.mem_khz": 1,
                      "edge.threads": 1, "edge.provider": 0},
        "idle_w": idle_w,
        "unit": "edge.provider",
        "units": {"cpu": cpu, "cuda": gpu},
        "sources": {
            "switch_ms": SYSFS + "; both providers are kept ready",
            "idle_w": idle_source,
            **prefixed("units.cpu", cpu_sources),
            **prefixed("units.cuda", gpu_sources),
            "units.cpu.effects": "assumed",
            "units.cuda.effects": "assumed",
            "units.cuda.effects.edge.gpu_khz.power_w": watts_source,
        },
    }


def jetson_nano():
    cpu, cpu_sources = fitted_unit("jetson-nano", "cpu", 4)
    gpu, gpu_sources = fitted_unit("jetson-nano", "gpu", 1)
    measured = ("published GPU sweep of an Inception network, board power (iloudaros/LoudVA): "
                "37.8 ms + 117.6 / f(GHz) ms")
    gpu["macs_per_s"]["conv"] = 4.477e10
    gpu["fixed_ms"] = 37.8
    del gpu["bytes_per_s"], gpu_sources["bytes_per_s"]
    gpu_sources["macs_per_s.conv"] = (measured + "; the network is taken to be Inception v3, "
                                      "5.71e9 multiply-accumulates")
    gpu_sources["fixed_ms"] = measured
    clocks = ((102000, 204000, 307200, 403200, 518400, 614400, 710400, 825600, 921600, 1036800,
               1132800, 1224000, 1326000, 1428000, 1479000), tuple(range(76800, 921601, 76800)),
              (204000, 408000, 665600, 800000, 1065600, 1331200, 1600000))
    board = jetson(
        "NVIDIA Jetson Nano (4 x Cortex-A57, 128-core Maxwell), at the board's input", clocks,
        cpu, cpu_sources, gpu, gpu_sources, 1.7,
        "assumed: where the published sweep's powers lead at no clock",
        {"cpu": [[102000, 2.0], [710400, 3.0], [1479000, 5.5]],
         "gpu": [[153600, 2.27], [460800, 3.78], [691200, 4.73], [921600, 6.22]]},
        "published at these four clocks (iloudaros/LoudVA); straight lines assumed",
        {"reference": 4, "exponent": 0.8, "power_share": [[1, 0.4], [2, 0.6], [4, 1]]})
    # No bytes were fitted: the memory's clock slows what multiplies, by a guess.
    board["units"]["cuda"]["effects"]["edge.mem_khz"]["exponent"] = {"macs": 0.2}
    board["sources"]["units.cuda.effects.edge.gpu_khz.exponent"] = measured
    return board


def jetson_tx2():
    cpu, cpu_sources = fitted_unit("jetson-tx2", "cpu", 6)
    gpu, gpu_sources = fitted_unit("jetson-tx2", "gpu", 1)
    clocks = ((345600, 499200, 652800, 806400, 960000, 1113600, 1267200, 1420800, 1574400,
               1728000, 1881600, 2035200),
              (114750, 216750, 318750, 420750, 522750, 624750, 726750, 854250, 930750, 1032750,
               1122000, 1236750, 1300500),
              (204000, 408000, 665600, 800000, 1062400, 1331200, 1600000, 1866000))
    return jetson(
        "NVIDIA Jetson TX2 (2 x Denver 2, 4 x Cortex-A57, 256-core Pascal), at the board's input",
        clocks, cpu, cpu_sources, gpu, gpu_sources, 3.2, "assumed",
        {"cpu": [[345600, 4.0], [1113600, 6.2], [2035200, 11.5]],
         "gpu": [[114750, 4.0], [522750, 6.4], [854250, 9.0], [1300500, 14.5]]},
        "assumed, with the module's modes in mind: 7.5 W at 854 MHz, 15 W at the top",
        {"reference": 6, "exponent": 0.45, "power_share": [[1, 0.4], [2, 0.55], [6, 1]]})


def jetson_xavier_nx():
    # Against the AGX Xavier, which was measured: 384 of 512 cores at 1109 of 1377 MHz, and
    # the processor at 1907 of 2266 MHz.
    cpu, cpu_sources = fitted_unit("agx-xavier", "cpu", 4, 1907.2 / 2265.6)
    gpu, gpu_sources = fitted_unit("agx-xavier", "gpu", 1, 384 / 512 * 1109.25 / 1377)
    clocks = ((115200, 192000, 268800, 345600, 422400, 499200, 576000, 652800, 729600, 806400,
               883200, 960000, 1036800, 1113600, 1190400, 1267200, 1344000, 1420800, 1497600,
               1574400, 1651200, 1728000, 1804800, 1907200),
              (114750, 204000, 306000, 408000, 510000, 599250, 701250, 752250, 803250, 854250,
               905250, 956250, 1007250, 1058250, 1109250),
              (204000, 800000, 1331200, 1600000, 1866000))
    return jetson(
        "NVIDIA Jetson Xavier NX (6 x Carmel, 384-core Volta), at the board's input", clocks,
        cpu, cpu_sources, gpu, gpu_sources, 3.5, "assumed",
        {"cpu": [[115200, 4.0], [1190400, 6.5], [1907200, 11.0]],
         "gpu": [[114750, 4.2], [510000, 6.5], [803250, 9.5], [1109250, 15.0]]},
        "assumed, with the module's modes of 10 and 15 W in mind",
        {"reference": 4, "exponent": 0.8,
         "power_share": [[1, 0.45], [2, 0.6], [4, 0.85], [6, 1]]})


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


BOARDS = {"rpi4": rpi4, "rpi4-coral": rpi4_coral, "rpi5": rpi5, "jetson-nano": jetson_nano,
          "jetson-tx2": jetson_tx2, "jetson-xavier-nx": jetson_xavier_nx,
          "odroid-xu4": odroid_xu4, "laptop": laptop, "gpu-server": gpu_server}


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
