#!/usr/bin/env python3
"""One training step of the learner's Q-network in PyTorch, for bench/learn to compare.

The same network, batch, double and dueling targets, loss, Adam and following target as
src/policy/dqn.c, written for speed: batched gathers, nothing a row at a time. One thread.
Usage: bench_dqn_torch.py STATES HIDDEN1 HIDDEN2 PIVOT BRANCH ... (value counts, the
pivot's first). Prints median and least of microseconds a step, and the BLAS in use.
"""
import statistics
import sys
import time

import torch

BATCH, WARM, STEPS = 256, 10, 60


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    states, h1, h2, rows, *branches = (int(a) for a in sys.argv[1:])
    row = sum(branches)
    outputs = 1 + rows + rows * row

    def net():
        return torch.nn.Sequential(
            torch.nn.Linear(states, h1), torch.nn.ReLU(), torch.nn.Linear(h1, h2),
            torch.nn.ReLU(), torch.nn.Linear(h2, outputs))

    online, target = net(), net()
    target.load_state_dict(online.state_dict())
    adam = torch.optim.Adam(online.parameters(), lr=1e-3)

    def centred(out):
        """V, pivot's advantages and branches' advantages [batch][rows][values], centred."""
        pivot = out[:, 1:1 + rows]
        rest = out[:, 1 + rows:].view(-1, rows, row).split(branches, dim=2)
        return (out[:, 0], pivot - pivot.mean(1, keepdim=True),
                [a - a.mean(2, keepdim=True) for a in rest])

    def value(out, action):
        v, pivot, rest = centred(out)
        p = action[:, 0]
        q = v + pivot.gather(1, p[:, None])[:, 0]
        i = torch.arange(len(p))
        for d, a in enumerate(rest):
            q = q + a[i, p, action[:, d + 1]]
        return q

    def best(out):
        _, pivot, rest = centred(out)
        tops = [a.max(2) for a in rest]
        p = (pivot + sum(t.values for t in tops)).argmax(1)
        i = torch.arange(len(p))
        return torch.stack([p] + [t.indices[i, p] for t in tops], 1)

    def step(state, action, reward, after, discount):
        with torch.no_grad():
            goal = reward + discount * value(target(after), best(online(after)))
        loss = ((value(online(state), action) - goal) ** 2).mean()
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        with torch.no_grad():
            torch._foreach_add_(
                list(target.parameters()),
                torch._foreach_sub(list(online.parameters()), list(target.parameters())),
                alpha=0.02)

    times = []
    for i in range(WARM + STEPS):
        batch = (torch.randn(BATCH, states),
                 torch.stack([torch.randint(n, (BATCH,)) for n in [rows] + branches], 1),
                 torch.randn(BATCH), torch.randn(BATCH, states), torch.full((BATCH,), 0.1))
        start = time.perf_counter()
        step(*batch)
        if i >= WARM:
            times.append((time.perf_counter() - start) * 1e6)
    with open("/proc/self/maps", encoding="ascii") as maps:
        blas = {line.split()[-1] for line in maps if "blas" in line}
    print(f"{statistics.median(times):.0f} {min(times):.0f} {' '.join(sorted(blas)) or 'none'} "
          f"torch-{torch.__version__}")


main()
