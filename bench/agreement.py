"""How far a runtime's numbers are from torch's in fp32, measured the same way for every contestant of compare.py.

The reference are one picture's image tokens and the logits of 50 decoder steps whose inputs are forced (random tokens:
left to itself a model with random weights repeats one). A contestant goes from the pixels on by itself. For image tokens and
logits: the cosine (of each step for logits: the least and the mean) and the relative rms error; and the steps whose
largest logit is the reference's.
"""
import os

import numpy as np

STEPS = 50


def path(directory):
    return os.path.join(directory, f"forced-{STEPS}.npz")


def make_reference(F2, directory, size):
    """Writes the reference beside the graphs, unless it is there. Needs torch."""
    if os.path.exists(path(directory)):
        return
    ref = F2.reference(F2.build_model(size), size, steps=STEPS)
    np.savez(path(directory), tokens=ref["tokens"], logits=ref["logits"], fed=[F2.START] + ref["seq"][:-1])


def load_reference(directory):
    return np.load(path(directory))


def cosine(x, y):
    x, y = x.astype(np.float64).ravel(), y.astype(np.float64).ravel()
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def relative_error(x, y):
    return float(np.sqrt(((x - y) ** 2).mean() / (y ** 2).mean()))


def figures(tokens, logits, reference):
    """What is printed beside the times; tokens and logits in the shapes of the reference."""
    by_step = [cosine(x, y) for x, y in zip(logits, reference["logits"])]
    same = int((logits.argmax(1) == reference["logits"].argmax(1)).sum())
    return {"image tokens": {"cosine": cosine(tokens, reference["tokens"]),
                             "relative error": relative_error(tokens, reference["tokens"])},
            "logits": {"least cosine": min(by_step), "mean cosine": float(np.mean(by_step)),
                       "relative error": relative_error(logits, reference["logits"]), "argmax": same, "of": len(logits)}}


def check_peer(peer):
    """figures() of a contestant that has the peers' interface: vision, prefill, begin, decode."""
    reference = load_reference(peer.W)
    image = peer.vision(peer.px1)
    tokens = peer.np(image).copy()
    state = peer.begin(peer.expand(peer.prefill(image), 1), 1, 0)
    logits = [peer.np(peer.decode(state, np.full((1, 1), i)))[-1].copy() for i in reference["fed"]]
    return figures(tokens.reshape(reference["tokens"].shape), np.stack(logits), reference)
