#!/usr/bin/env python3
"""How often runtimes choose the token that torch chooses in fp32, over several models with random weights.

    python bench/agreement_seeds.py --work DIR --seeds 9 --peers florence2-int8,ort-int8

Steps of one model are not independent draws: how near its best two tokens lie is a property of its weights. So each seed makes a
model of its own, every contestant is led through the same pictures and tokens (agreement.py), and the intervals are over the
models. What a peer answered is kept in DIR, so that it is asked once (3 GiB a seed while its graphs are made, 1 GiB after); we are
asked each time. Needs what compare.py needs.
"""
import argparse
import glob
import json
import os
import pickle
import runpy
import subprocess
import sys

import numpy as np

import agreement
import compare

OURS = "florence2-"


def models(F2, base, count):
    """Names of `count` models that differ from `base` by the seed of their weights, known to the peers' code as sizes."""
    build = F2.build_model

    def build_seeded(size="base", seed=1234, attn="eager"):
        name, _, drawn = size.partition("-seed")
        return build(name, int(drawn) if drawn else seed, attn)

    F2.build_model = build_seeded
    names = [f"{base}-seed{i}" for i in range(1, count + 1)]
    for name in names:
        F2.SHAPES[name] = F2.SHAPES[base]
    return names


def export(work, name):
    """Runs the peers' export.py in this process, which knows the name."""
    sys.argv = ["export.py", "--work", work, "--size", name, "--steps", "ref,onnx,onnx-int8"]
    runpy.run_path(os.path.join(compare.PEERS, "export.py"), run_name="__main__")


def make(work, name, a):
    """Weights, graphs and references of one model, in a process of its own, which frees its memory."""
    subprocess.run([sys.executable, os.path.abspath(__file__), "--work", work, "--base", a.base, "--seeds", str(a.seeds), "--export", name],
                   check=True, stdout=sys.stderr)


def drop_graphs(folder):
    for path in glob.glob(os.path.join(folder, "*.onnx*")):
        os.remove(path)


def step_figures(tokens, logits, reference):
    """Of each picture the steps that choose as the reference does, of the whole the relative errors."""
    same = (logits.argmax(-1) == reference["logits"].argmax(-1)).sum(1)
    return {"same": same.tolist(), "image": agreement.relative_error(tokens, reference["tokens"]),
            "logits": agreement.relative_error(logits, reference["logits"])}


def kept_answers(folder, contestant):
    return os.path.join(folder, f"{contestant}-{agreement.PICTURES}x{agreement.STEPS}.json")


def measure(bench, work, name, contestant, threads):
    folder = os.path.join(work, name)
    with open(os.path.join(folder, "ref.pkl"), "rb") as file:
        inputs = pickle.load(file)
    kind, options = bench.PEERS[contestant]
    peer = kind(work, name, threads, inputs, **options)
    peer.load(["vision", "prefill", "decode1"])
    peer.prepare()
    reference = agreement.load_reference(folder)
    figures = step_figures(*peer.answers(reference), reference)
    if contestant.startswith(OURS):
        peer.close()
    return figures


def figures_of(bench, a, name, contestants):
    """step_figures of all contestants for one model; it is made, and its peers are asked, if they were not before."""
    folder = os.path.join(a.work, name)
    kept = {c: kept_answers(folder, c) for c in contestants if not c.startswith(OURS)}
    if not all(map(os.path.exists, kept.values())):
        make(a.work, name, a)
        for contestant, path in kept.items():
            answered = measure(bench, a.work, name, contestant, a.threads)
            with open(path, "w") as file:
                json.dump(answered, file)
        drop_graphs(folder)

    def figures(contestant):
        if contestant not in kept:
            return measure(bench, a.work, name, contestant, a.threads)
        with open(kept[contestant]) as file:
            return json.load(file)
    return {c: figures(c) for c in contestants}


def interval(differences):
    """Mean over the models and its 95 % interval, by Student's t."""
    quantiles = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201)  # of 1 to 11 degrees of freedom
    mean, n = float(np.mean(differences)), len(differences)
    half = quantiles[min(n - 1, len(quantiles)) - 1] * float(np.std(differences, ddof=1)) / n ** 0.5 if n > 1 else float("nan")
    return mean, mean - half, mean + half


def report(results, contestants):
    steps = agreement.STEPS * agreement.PICTURES
    print("| | " + " | ".join(contestants) + " |\n|---|" + "---|" * len(contestants))
    for name, by in results.items():
        print(f"| {name} | " + " | ".join(f"{sum(by[c]['same'])}; {by[c]['image']:.4f}; {by[c]['logits']:.4f}" for c in contestants) + " |")
    print(f"\nsteps of {steps} with the reference's token; relative error of image tokens; of logits")
    shares = {c: np.array([100 * sum(by[c]["same"]) / steps for by in results.values()]) for c in contestants}
    for c in contestants:
        logits = np.sqrt(np.mean([by[c]["logits"] ** 2 for by in results.values()]))
        print(f"{c}: {shares[c].mean():.2f} % of {steps * len(results)} steps, logits {logits:.4f}")
    for c in contestants[1:]:
        print("{}: {:+.2f} points ({:+.2f}..{:+.2f}) against {}".format(c, *interval(shares[c] - shares[contestants[0]]), contestants[0]))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", required=True)
    p.add_argument("--base", default="base", help="size of the models")
    p.add_argument("--seeds", type=int, default=8, help="number of models")
    p.add_argument("--peers", default="florence2-int8,ort-int8")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--export", help=argparse.SUPPRESS)
    a = p.parse_args()
    bench = compare.load_contestants()
    import f2model as F2
    names = models(F2, a.base, a.seeds)
    if a.export:
        export(a.work, a.export)
        folder = os.path.join(a.work, a.export)
        agreement.make_reference(F2, folder, a.export)
        return
    contestants = a.peers.split(",")
    report({name: figures_of(bench, a, name, contestants) for name in names}, contestants)


if __name__ == "__main__":
    main()
