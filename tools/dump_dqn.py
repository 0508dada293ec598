#!/usr/bin/env python3
"""Writes what PyTorch computes for small branching Q-networks, for test_dqn.c.

Forward, gradients, one step of Adam and several steps of double, dueling training with a
following target network, in double precision, once with a pivot and once without. The
file is committed; running this again (python3-torch 1.13) gives the same numbers.
Usage: tools/dump_dqn.py > tests/data/learner/dqn.json
"""
import json

import torch

torch.set_default_dtype(torch.float64)
STEPS, BATCH, LEARNING_RATE, FOLLOW = 6, 12, 2e-3, 0.05


class Net(torch.nn.Module):
    """The layout of src/policy/dqn.c: V, the pivot's advantages, one row a pivot value."""

    def __init__(self, states, hidden, branches, pivot):
        super().__init__()
        self.branches, self.pivot = branches, pivot
        self.rest = [d for d in range(len(branches)) if d != pivot]
        self.rows = branches[pivot] if pivot is not None else 1
        self.row = sum(branches[d] for d in self.rest)
        self.first = 1 + (self.rows if pivot is not None else 0)
        widths = [states, *hidden, self.first + self.rows * self.row]
        self.layers = torch.nn.ModuleList(
            torch.nn.Linear(a, b) for a, b in zip(widths, widths[1:]))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        return self.layers[-1](x)

    def advantages(self, out, p):
        """Of each branch in row p of one state, each less its mean."""
        at, found = self.first + p * self.row, {}
        for d in self.rest:
            a = out[at:at + self.branches[d]]
            found[d] = a - a.mean()
            at += self.branches[d]
        return found

    def value(self, out, action):
        p = action[self.pivot] if self.pivot is not None else 0
        q = out[0]
        if self.pivot is not None:
            a = out[1:1 + self.rows]
            q = q + a[p] - a.mean()
        for d, a in self.advantages(out, p).items():
            q = q + a[action[d]]
        return q

    def best(self, out):
        """By trying every joint action, which the C code does not."""
        actions = [[]]
        for n in self.branches:
            actions = [a + [v] for a in actions for v in range(n)]
        return max(actions, key=lambda a: self.value(out, a).item())


def weights(net):
    """Flat, a layer after the other: weights as [in][out], then biases."""
    flat = []
    for layer in net.layers:
        flat += layer.weight.detach().t().reshape(-1).tolist()
        flat += layer.bias.detach().tolist()
    return flat


def gradients(net):
    flat = []
    for layer in net.layers:
        flat += layer.weight.grad.t().reshape(-1).tolist()
        flat += layer.bias.grad.tolist()
    return flat


def case(seed, branches, pivot):
    torch.manual_seed(seed)
    states, hidden = 5, [12, 9]
    net, target = Net(states, hidden, branches, pivot), Net(states, hidden, branches, pivot)
    target.load_state_dict(net.state_dict())
    adam = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    doc = {"states": states, "hidden": hidden, "branches": branches,
           "pivot": -1 if pivot is None else pivot, "learning_rate": LEARNING_RATE,
           "follow": FOLLOW, "weights": weights(net), "steps": []}
    for step in range(STEPS):
        state, after = torch.randn(BATCH, states), torch.randn(BATCH, states)
        action = [[int(torch.randint(n, ())) for n in branches] for _ in range(BATCH)]
        reward, discount = torch.randn(BATCH), 0.3 + 0.6 * torch.rand(BATCH)
        if step % 3 == 2:
            discount = torch.zeros(BATCH)
        with torch.no_grad():
            chosen = [net.best(o) for o in net(after)]
            goal = torch.stack([r + g * target.value(o, a) for r, g, o, a in
                                zip(reward, discount, target(after), chosen)])
        out = net(state)
        q = torch.stack([net.value(o, a) for o, a in zip(out, action)])
        loss = ((q - goal) ** 2).mean()
        adam.zero_grad()
        loss.backward()
        record = {"state": state.reshape(-1).tolist(), "next": after.reshape(-1).tolist(),
                  "action": sum(action, []), "reward": reward.tolist(),
                  "discount": discount.tolist(), "value": q.tolist(),
                  "best": sum((net.best(o) for o in out), []), "loss": loss.item()}
        if step == 0:
            record["gradient"] = gradients(net)
        adam.step()
        with torch.no_grad():
            for t, n in zip(target.parameters(), net.parameters()):
                t += FOLLOW * (n - t)
        if step in (0, STEPS - 1):
            record["weights"] = weights(net)
            record["target"] = weights(target)
        doc["steps"].append(record)
    return doc


def rounded(node):
    if isinstance(node, float):
        return float(f"{node:.9g}")
    if isinstance(node, list):
        return [rounded(n) for n in node]
    return {k: rounded(v) for k, v in node.items()} if isinstance(node, dict) else node


print(json.dumps(rounded({
    "source": f"PyTorch {torch.__version__}, float64, tools/dump_dqn.py",
    "batch": BATCH,
    "cases": [case(1, [3, 4, 2], 0), case(2, [4, 3], None), case(3, [2, 5, 3], 1)]})))
