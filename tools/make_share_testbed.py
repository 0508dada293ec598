#!/usr/bin/env python3
"""Write etc/testbeds/cifar10-share: a testbed whose knob is the share of feature maps
(docs/dvfo.md), in recorded form, computed and not measured, from what `wattshed share`
measured of accuracy and bytes:

    wattshed share etc/dvfo --node URL --share 0,0.1,...,1 --records FILE --json >share.json
    tools/make_share_testbed.py share.json

The work of each part follows from the shapes of etc/dvfo. The machines and the link are
assumed: a small board without an accelerator (edge.json, for --emulate), and a server
near by. So the testbed says "modelled", and so does all that is computed from it. Same
input, same files.
"""

import json
import pathlib
import random
import sys

SEED = 20230601
MAPS = 64
# Multiply-accumulates of convolutions and matrix products.
EXTRACT = (9 * (3 * 32 * 32**2 + 32 * 64 * 16**2 + 64 * MAPS * 8**2) + 7 * 7 * 2 * 8**2,
           2 * 2 * MAPS * 8)
DEEPER = 2 * 9 * 96 * 96 * 4**2  # of the cloud's tail alone
CLOCKS_KHZ = [150000, 300000, 450000, 600000]
EDGE_MACS_S = (1e9, 5e8)  # at the highest clock
EDGE_FIXED_MS = 0.5       # of each segment, likewise
EDGE_W = [0.3, 0.5, 0.7, 0.9]
EDGE_IDLE_W = 0.15
CLOUD_MACS_S = (5e10, 1e10)
CLOUD_FIXED_MS = 0.5
CLOUD_W = 20
LINK_MBIT_S, LINK_DELAY_MS = 8, 1
NOISE = 0.04  # standard deviation of an execution, relative
SAMPLES = 6
DEADLINES_MS = (11.0, 45.0)
REQUESTS = 2000


def tail(maps, more=0):
    """Those of a tail that has so many maps; none for none."""
    if maps == 0:
        return (0, 0)
    return (9 * (maps * 128 * 8**2 + 128 * 96 * 4**2) + more, MAPS * 128 + 96 * 10)


def lasts_ms(works, macs_s, fixed_ms):
    """A segment; nothing where there is no work."""
    times = [1e3 * work / rate for work, rate in zip(works, macs_s)]
    return sum(times) + fixed_ms if sum(works) > 0 else 0


def execute(row, clock, draw):
    """One execution, by part; `draw` gives a factor for each."""
    sent = row["secondary_maps"]
    speed = CLOCKS_KHZ[clock] / CLOCKS_KHZ[-1]
    rates = [rate * speed for rate in EDGE_MACS_S]
    before = lasts_ms([a + b for a, b in zip(EXTRACT, tail(0 if sent else MAPS))], rates,
                      EDGE_FIXED_MS / speed) * draw()
    beside = lasts_ms(tail(MAPS - sent if sent else 0), rates, EDGE_FIXED_MS / speed) * draw()
    cloud = lasts_ms(tail(sent, DEEPER), CLOUD_MACS_S, CLOUD_FIXED_MS) * draw()
    size = row["tensor_bytes"] or 0
    transfer = (LINK_DELAY_MS + size * 8 / (LINK_MBIT_S * 1e3)) * draw() if sent else 0
    away = transfer + cloud
    edge_j = (EDGE_W[clock] * (before + beside) + EDGE_IDLE_W * max(away - beside, 0)) / 1e3
    cloud_j = CLOUD_W * cloud / 1e3
    return {"latency_ms": before + max(beside, away), "energy_j": edge_j + cloud_j,
            "accuracy": row["top1"], "edge_ms": before + beside, "transfer_ms": transfer,
            "cloud_ms": cloud, "beside_ms": beside, "edge_energy_j": edge_j,
            "cloud_energy_j": cloud_j, "tensor_bytes": size}


def share_text(share):
    """0 and 1, not 0.0: a value's text is its identity."""
    return str(int(share)) if share in (0, 1) else str(round(share, 3))


def table(rows):
    """CSV, several executions of each setting."""
    draws = random.Random(SEED)
    lines = []
    for row in rows:
        for clock, khz in enumerate(CLOCKS_KHZ):
            for _ in range(SAMPLES):
                out = execute(row, clock, lambda: max(draws.gauss(1, NOISE), 0.5))
                if not lines:
                    lines.append(",".join(["knob.share", "knob.codec", "knob.edge.cpu_khz",
                                           *out]))
                values = [format(value, ".6g") for value in out.values()]
                lines.append(",".join([share_text(row["share"]), "int8", str(khz), *values]))
    return "\n".join(lines) + "\n"


def workload():
    """CSV: deadlines drawn evenly, and whether the network's best is asked for."""
    draws = random.Random(SEED + 1)
    lines = ["index,deadline_ms"]
    lines += [f"{i},{draws.uniform(*DEADLINES_MS):.4f}" for i in range(REQUESTS)]
    return "\n".join(lines) + "\n"


def testbed(rows):
    def everything(share):
        return {"share": share, "codec": "int8", "edge.cpu_khz": CLOCKS_KHZ[-1]}

    return {"name": "cifar10-share", "truth": "modelled",
            "source": "computed by tools/make_share_testbed.py: work and bytes of etc/dvfo, "
                      "accuracy measured on 5,000 test pictures, machines and link assumed",
            "energy_boundary": "modelled: edge board, and the server while it computes",
            "table": "table.csv", "objectives": ["latency_ms", "energy_j", "accuracy"],
            "knobs": {
                "share": {"part": "shared", "kind": "ordered",
                          "values": [json.loads(share_text(r["share"])) for r in rows]},
                "codec": {"part": "transfer", "kind": "nominal", "values": ["int8"]},
                "edge.cpu_khz": {"part": "edge", "kind": "ordered", "values": CLOCKS_KHZ}},
            "stages": [
                {"machine": "edge", "segment": "extract", "knobs": ["edge.cpu_khz"]},
                {"machine": "edge", "segment": "edge", "knobs": ["share", "edge.cpu_khz"]},
                {"machine": "cloud", "segment": "cifar10_cloud", "knobs": ["share", "codec"],
                 "beside": True}],
            "baselines": {"edge-only": everything(0), "cloud-only": everything(1)},
            "switch_ms": {"default": 0, "edge.cpu_khz": 1},
            "link": {"mbit_s": LINK_MBIT_S, "delay_ms": LINK_DELAY_MS},
            "edge_idle_w": EDGE_IDLE_W}


def board():
    """The edge, for whoever emulates it."""
    power = [list(point) for point in zip(CLOCKS_KHZ, EDGE_W)]
    conv, matmul = EDGE_MACS_S
    return {"format": "wattshed-board", "version": 1, "name": "share-edge",
            "machine": "nobody's: a small board without an accelerator",
            "boundary": "board", "idle_w": EDGE_IDLE_W,
            "knobs": {"edge.cpu_khz": {"part": "edge", "kind": "ordered",
                                       "values": CLOCKS_KHZ}},
            "units": {"cpu": {
                "macs_per_s": {"conv": conv, "matmul": matmul, "other": conv},
                "fixed_ms": EDGE_FIXED_MS,
                "effects": {"edge.cpu_khz": {"reference": CLOCKS_KHZ[-1], "exponent": 1,
                                             "power_w": power}}}},
            "sources": {"idle_w": "assumed", "units": "assumed"}}


def main():
    rows = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))["rows"]
    folder = pathlib.Path(__file__).parent.parent / "etc/testbeds/cifar10-share"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("testbed.json", testbed(rows)), ("edge.json", board())):
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (folder / "table.csv").write_text(table(rows), encoding="utf-8")
    (folder / "workload.csv").write_text(workload(), encoding="utf-8")


if __name__ == "__main__":
    main()
