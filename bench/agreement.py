"""How far a runtime's numbers are from torch's in fp32, measured the same way for every contestant of compare.py.

The reference are PICTURES pictures' image tokens and, for each, the logits of STEPS decoder steps whose inputs are forced (random
tokens: left to itself a model with random weights repeats one). One picture alone does not tell two 8-bit runtimes apart;
$FLORENCE2_AGREEMENT_PICTURES is their number, 8 if not set. A contestant goes from the pixels on by itself. For image tokens and
logits: the cosine (of each picture or step: the least and the mean) and the relative rms error of all; and the steps whose largest
logit is the reference's.
"""
import os

import numpy as np

PICTURES = int(os.environ.get("FLORENCE2_AGREEMENT_PICTURES", 8))
STEPS = 50
FIRST_SEED = 7


def path(directory):
    return os.path.join(directory, f"forced-{PICTURES}x{STEPS}.npz")


def make_reference(F2, directory, size):
    """Writes the reference beside the graphs, unless it is there. Needs torch."""
    if os.path.exists(path(directory)):
        return
    import torch
    vision, prefill, decode = F2.make_graphs(F2.build_model(size), "manual")
    shape = F2.SHAPES[size]
    made = {"pixels": [], "tokens": [], "logits": [], "fed": []}
    with torch.inference_mode():
        for seed in range(FIRST_SEED, FIRST_SEED + PICTURES):
            pixels = F2.image(seed)
            tokens = vision(pixels)
            cross = prefill(tokens, torch.tensor([F2.TEXT_IDS]))
            past = [torch.zeros(1, shape["h"], 0, shape["d"] // shape["h"]) for _ in range(2 * shape["layers"])]
            drawn = torch.randint(3, 50000, (STEPS - 1,), generator=torch.Generator().manual_seed(seed)).tolist()
            fed, logits = [F2.START] + drawn, []
            for step, token in enumerate(fed):
                output = decode(torch.tensor([[token]]), torch.tensor([step]), *cross, *past)
                logits.append(output[0][0].numpy().copy())
                past = list(output[1:])
            for name, value in (("pixels", pixels.numpy()[0]), ("tokens", tokens.numpy()[0]), ("logits", np.stack(logits)), ("fed", fed)):
                made[name].append(value)
    np.savez(path(directory), **{name: np.stack(values) for name, values in made.items()})


def load_reference(directory):
    return np.load(path(directory))


def cosine(x, y):
    x, y = x.astype(np.float64).ravel(), y.astype(np.float64).ravel()
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def relative_error(x, y):
    return float(np.sqrt(((x - y) ** 2).mean() / (y ** 2).mean()))


def figures(tokens, logits, reference):
    """What is printed beside the times. tokens: [pictures, image tokens, d]; logits: [pictures, steps, vocabulary]."""
    logits, wanted = (x.reshape(-1, x.shape[-1]) for x in (logits, reference["logits"]))
    by_picture = [cosine(x, y) for x, y in zip(tokens, reference["tokens"])]
    by_step = [cosine(x, y) for x, y in zip(logits, wanted)]
    return {"image tokens": {"least cosine": min(by_picture), "mean cosine": float(np.mean(by_picture)),
                             "relative error": relative_error(tokens, reference["tokens"])},
            "logits": {"least cosine": min(by_step), "mean cosine": float(np.mean(by_step)),
                       "relative error": relative_error(logits, wanted),
                       "argmax": int((logits.argmax(1) == wanted.argmax(1)).sum()), "of": len(logits)}}


def answers(peer, reference):
    """Image tokens and logits of a contestant that has the peers' interface: vision, prefill, begin, decode."""
    tokens, logits = [], []
    for pixels, fed in zip(reference["pixels"], reference["fed"]):
        image = peer.vision(peer.inp(np.ascontiguousarray(pixels[None])))
        tokens.append(peer.np(image).reshape(reference["tokens"].shape[1:]).copy())
        state = peer.begin(peer.expand(peer.prefill(image), 1), 1, 0)
        logits.append([peer.np(peer.decode(state, np.full((1, 1), i)))[-1].copy() for i in fed])
    return np.stack(tokens), np.array(logits).reshape(reference["logits"].shape)


def check_peer(peer):
    """figures() of any contestant."""
    reference = load_reference(peer.W)
    return figures(*peer.answers(reference), reference)
