"""How good an answer about a scene is, given the exact one: numbers in 0..1, 1 is best."""
from __future__ import annotations

import re

import numpy as np
from PIL import Image, ImageDraw


def iou(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = max(w, 0) * max(h, 0)
    area = lambda r: max(r[2] - r[0], 0) * max(r[3] - r[1], 0)
    return inter / max(area(a) + area(b) - inter, 1e-9)


def labelled_boxes(text, n=4):
    """[(label, numbers)] of every label followed by groups of n location tokens."""
    out = []
    for label, run in re.findall(r"([^<]*)((?:<loc_\d+>)+)", text):
        v = [int(x) for x in re.findall(r"<loc_(\d+)>", run)]
        out += [(label.strip(), v[k:k + n]) for k in range(0, len(v) - n + 1, n)]
    return out


def f1(pred, gold, match):
    left, hits = list(gold), 0
    for p in pred:
        best = max(left, key=lambda g: match(p, g), default=None)
        if best is not None and match(p, best) > 0:
            hits += 1
            left.remove(best)
    return 2 * hits / max(len(pred) + len(gold), 1)


def mask(numbers, side=250):
    im = Image.new("1", (side, side))
    if len(numbers) >= 6:
        pts = [(numbers[k] * side / 1000, numbers[k + 1] * side / 1000) for k in range(0, len(numbers) - 1, 2)]
        ImageDraw.Draw(im).polygon(pts, fill=1)
    return np.asarray(im)


def score(task, pred, gold):
    """{metric: value in 0..1} of one answer; location text is compared in bins of a 1000 x 1000 image."""
    if task in ("<CAPTION>", "<DETAILED_CAPTION>", "<MORE_DETAILED_CAPTION>", "<OCR>"):
        return {"exact": float(pred == gold)}
    if task in ("<REGION_TO_CATEGORY>", "<REGION_TO_DESCRIPTION>", "<REGION_TO_OCR>"):
        strip = lambda s: re.sub(r"<loc_\d+>", "", s)
        return {"exact": float(strip(pred) == strip(gold))}
    if "SEGMENTATION" in task:
        num = lambda s: [int(x) for x in re.findall(r"<loc_(\d+)>", s)]
        a, b = mask(num(pred)), mask(num(gold))
        return {"mask IoU": float((a & b).sum() / max((a | b).sum(), 1))}
    n = 8 if task == "<OCR_WITH_REGION>" else 4
    box = (lambda v: (min(v[0::2]), min(v[1::2]), max(v[0::2]), max(v[1::2])))
    p, g = labelled_boxes(pred, n), labelled_boxes(gold, n)
    same = lambda t: (lambda x, y: float(x[0] == y[0] and iou(box(x[1]), box(y[1])) >= t))
    return {"F1@50": f1(p, g, same(0.5)), "F1@75": f1(p, g, same(0.75))}
