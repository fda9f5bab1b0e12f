"""Sequences that transformers' own logits processors and warpers lead to, on small random tables of logits.

    python make_sampling.py > sampling.json

A case has one row of logits a step. "kept": the tokens that the warpers leave at each step. The draw is the reference's
softmax, read from the first token on until the cumulated probability exceeds a number of SplitMix64; numbers within 1e-5 of a border are
avoided by another seed.
"""
import json
import random

import torch
from transformers.generation import logits_process as lp

EOS, START, BOS = 2, 2, 0
MASK = (1 << 64) - 1


class SplitMix64:
    def __init__(self, seed):
        self.state = seed

    def uniform(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
        return (z >> 11) * 2.0 ** -53


def processors(rules):
    chain = []
    if rules["repetition_penalty"] != 1:
        chain.append(lp.RepetitionPenaltyLogitsProcessor(rules["repetition_penalty"]))
    if rules["no_repeat_ngram"]:
        chain.append(lp.NoRepeatNGramLogitsProcessor(rules["no_repeat_ngram"]))
    if rules["min_new_tokens"]:
        chain.append(lp.MinNewTokensLengthLogitsProcessor(1, rules["min_new_tokens"], EOS, device="cpu"))
    chain.append(lp.ForcedBOSTokenLogitsProcessor(BOS))
    chain.append(lp.ForcedEOSTokenLogitsProcessor(rules["max_new_tokens"] + 1, EOS, device="cpu"))
    return chain


def warpers(rules):
    if not rules["sample"]:
        return []
    chain = []
    if rules["temperature"] != 1:
        chain.append(lp.TemperatureLogitsWarper(rules["temperature"]))
    if rules["top_k"]:
        chain.append(lp.TopKLogitsWarper(rules["top_k"]))
    if rules["top_p"] < 1:
        chain.append(lp.TopPLogitsWarper(rules["top_p"]))
    return chain


def draw(scores, generator):
    """The token, or None when rounding could decide."""
    cumulated = torch.softmax(scores[0].double(), -1).cumsum(0)
    u = generator.uniform()
    if (cumulated - u).abs().min() < 1e-5:
        return None
    return int((cumulated > u).nonzero()[0])


def run(rules, logits):
    generator, ids, kept = SplitMix64(rules["seed"]), [START], []
    for step, row in enumerate(logits, 1):
        scores = torch.tensor([row])
        for processor in processors(rules):
            scores = processor(torch.tensor([ids]), scores)
        forced = step == 1 or step == rules["max_new_tokens"]
        for warper in [] if forced else warpers(rules):
            scores = warper(torch.tensor([ids]), scores)
        kept.append([] if forced else torch.isfinite(scores[0]).nonzero()[:, 0].tolist())
        token = draw(scores, generator) if rules["sample"] and not forced else int(scores[0].argmax())
        if token is None:
            return None
        ids.append(token)
        if token == EOS:
            break
    return {"rules": rules, "logits": logits, "ids": ids, "kept": kept if rules["sample"] else []}


def make_case(rng):
    rules = {
        "max_new_tokens": rng.choice([5, 9, 14]), "min_new_tokens": rng.choice([0, 0, 4, 8]),
        "no_repeat_ngram": rng.choice([0, 2, 3]), "repetition_penalty": rng.choice([1.0, 1.25, 2.0, 0.75]),
        "sample": rng.random() < 0.7, "temperature": rng.choice([1.0, 0.5, 1.7]), "top_k": rng.choice([0, 3, 8, 50]),
        "top_p": rng.choice([1.0, 0.9, 0.6, 0.2]), "seed": rng.randrange(1 << 40),
    }
    if rng.random() < 0.4:
        rules |= {"min_new_tokens": 0, "no_repeat_ngram": 0, "repetition_penalty": 1.0}
    size = rng.choice([6, 12, 24])
    logits = [[round(rng.gauss(0, 2.5), 2) for _ in range(size)] for _ in range(rules["max_new_tokens"])]
    return run(rules, logits)


def main():
    rng, cases = random.Random(12), []
    while len(cases) < 80:
        case = make_case(rng)
        if case:
            cases.append(case)
    print("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]")


if __name__ == "__main__":
    main()
