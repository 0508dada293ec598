#!/usr/bin/env python3
"""Writes etc/testbeds/digits-pi4: a testbed in recorded form, computed and not measured.

The network is the demo's (docs/demo.md: work before each cut and bytes across it), the
edge a board like a Raspberry Pi 4 on a 20 Mbit/s link, the server one with an
accelerator. Every figure comes from the few constants below, so the testbed says
"modelled" and so does everything that is computed from it. Same seed, same files.
Usage: make_testbed.py [FOLDER]
"""
import json
import pathlib
import random
import sys

SEED = 20241123
# Cut: (multiply-adds before it, bytes across it, those as int8).
CUTS = [
    (0, 9216, 9216),
    (2_985_984, 73728, 18432),
    (13_602_816, 73728, 18432),
    (13_934_592, 4608, 1152),
    (14_229_504, 147456, 36864),
    (99_164_160, 147456, 36864),
    (101_901_312, 1152, 288),
    (103_117_824, 147456, 36864),
    (153_547_776, 55296, 13824),
    (153_547_776, 384, 96),
    (153_548_736, 0, 0),
]
WHOLE = CUTS[-1][0]
EDGE_KHZ = [600000, 1000000, 1400000, 1800000]
EDGE_THREADS = [1, 2, 4]
EDGE_MACS_S = 2.5e9  # of one thread at the highest clock
EDGE_FIXED_MS = 0.8
EDGE_IDLE_W = 2.7
LINK_MBIT_S = 20
LINK_DELAY_MS = 3
CODEC_MS_PER_MB = 4  # at the highest clock
CLOUD_MACS_S = {"off": 15e9, "on": 300e9}
CLOUD_FIXED_MS = {"off": 0.5, "on": 2.0}
CLOUD_W = {"off": 60, "on": 130}
NOISE = 0.04  # standard deviation of an execution, relative
ACCURACY = 0.9944


def expected(cut, khz, threads, codec, accelerator):
    """Times in ms and energies in J of one inference, by part."""
    macs, plain, small = CUTS[cut]
    clock = khz / EDGE_KHZ[-1]
    sent = small if codec == "int8" else plain
    edge = EDGE_FIXED_MS / clock
    # Memory keeps its clock, so time falls more slowly than the clock rises.
    edge += 1e3 * macs / (EDGE_MACS_S * clock**0.9 * threads**0.85)
    if codec == "int8":
        edge += CODEC_MS_PER_MB * plain / 1e6 / clock
    transfer = LINK_DELAY_MS + sent * 8 / (LINK_MBIT_S * 1e3) if plain else 0
    cloud = 0
    if plain:
        cloud = CLOUD_FIXED_MS[accelerator] + 1e3 * (WHOLE - macs) / CLOUD_MACS_S[
            accelerator
        ]
    power = EDGE_IDLE_W + threads * (0.25 + 0.75 * clock**2.5)
    edge_j = (power * edge + EDGE_IDLE_W * (transfer + cloud)) / 1e3
    cloud_j = CLOUD_W[accelerator] * cloud / 1e3
    return edge, transfer, cloud, edge_j, cloud_j, sent


def rows(rng):
    """Every setting that the constraints allow; one in eight has six samples."""
    for cut in range(len(CUTS)):
        last = cut == len(CUTS) - 1
        for khz in EDGE_KHZ:
            for threads in EDGE_THREADS:
                for codec in ["none"] if last else ["none", "int8"]:
                    for accelerator in ["off"] if last else ["off", "on"]:
                        setting = (cut, khz, threads, codec, accelerator)
                        samples = 6 if rng.random() < 0.125 else 1
                        for _ in range(samples):
                            yield setting, expected(*setting)


def write_table(path, rng):
    """The table; returns the least and the greatest latency in it."""
    latencies = []
    with path.open("w", encoding="ascii") as out:
        out.write(
            "knob.cut,knob.edge.cpu_khz,knob.edge.threads,knob.codec,"
            "knob.cloud.accelerator,latency_ms,energy_j,accuracy,edge_ms,transfer_ms,"
            "cloud_ms,edge_energy_j,cloud_energy_j,tensor_bytes\n"
        )
        for setting, (edge, transfer, cloud, edge_j, cloud_j, sent) in rows(rng):
            slow = max(0.9, rng.gauss(1, NOISE))
            times = [x * slow for x in (edge, transfer, cloud)]
            joules = [x * slow for x in (edge_j, cloud_j)]
            latencies.append(sum(times))
            values = [sum(times), sum(joules), ACCURACY, *times, *joules]
            fields = [str(x) for x in setting] + [f"{x:.6g}" for x in values]
            out.write(",".join(fields) + f",{sent}\n")
    return min(latencies), max(latencies)


def write_workload(path, rng, low, high, count=500):
    """Deadlines as DynaSplit's authors draw them: Weibull, shape 1, scaled between the
    fastest and the slowest setting. One request every 50 ms."""
    drawn = [rng.weibullvariate(1, 1) for _ in range(count)]
    scale = (high - low) / (max(drawn) - min(drawn))
    with path.open("w", encoding="ascii") as out:
        out.write("index,deadline_ms,arrival_ms\n")
        for i, x in enumerate(drawn):
            out.write(f"{i},{low + (x - min(drawn)) * scale:.6g},{50 * i}\n")


def write_testbed(path):
    knobs = {
        "cut": ("shared", "ordered", list(range(len(CUTS)))),
        "edge.cpu_khz": ("edge", "ordered", EDGE_KHZ),
        "edge.threads": ("edge", "ordered", EDGE_THREADS),
        "codec": ("transfer", "nominal", ["none", "int8"]),
        "cloud.accelerator": ("cloud", "nominal", ["off", "on"]),
    }
    fastest = {"edge.cpu_khz": EDGE_KHZ[-1], "edge.threads": EDGE_THREADS[-1]}
    last = len(CUTS) - 1
    testbed = {
        "name": "digits-pi4",
        "truth": "modelled",
        "source": "computed by tools/make_testbed.py, not measured: the demo network on "
        "a board like a Raspberry Pi 4, a 20 Mbit/s link, a server with an accelerator",
        "energy_boundary": "modelled: edge board, and the server while it computes",
        "table": "table.csv",
        "objectives": ["latency_ms", "energy_j", "accuracy"],
        "knobs": {
            name: {"part": part, "kind": kind, "values": values}
            for name, (part, kind, values) in knobs.items()
        },
        "constraints": [
            {"if": {"cut": last}, "then": {"cloud.accelerator": ["off"]}},
            {"if": {"cut": last}, "then": {"codec": ["none"]}},
        ],
        "baselines": {
            "cloud-only": {"cut": 0, **fastest, "codec": "none", "cloud.accelerator": "on"},
            "edge-only": {
                "cut": last, **fastest, "codec": "none", "cloud.accelerator": "off"
            },
        },
        "switch_ms": {"edge.cpu_khz": 2, "default": 0},
        "link": {"mbit_s": LINK_MBIT_S, "delay_ms": LINK_DELAY_MS},
        "edge_idle_w": EDGE_IDLE_W,
    }
    path.write_text(json.dumps(testbed, indent=1) + "\n", encoding="ascii")


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    folder = root / "etc/testbeds/digits-pi4"
    if len(sys.argv) > 1:
        folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(SEED)
    write_testbed(folder / "testbed.json")
    low, high = write_table(folder / "table.csv", rng)
    write_workload(folder / "workload.csv", rng, low, high)
    (folder / "link.csv").write_text(
        "time_s,link_scale\n0,1\n8,0.1\n16,1\n", encoding="ascii"
    )


if __name__ == "__main__":
    main()
