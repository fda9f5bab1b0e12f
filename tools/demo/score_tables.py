"""What scores are worth: share of right answers by band of score, and AUROC of right against wrong, on generated scenes.

    python score_tables.py --program build/florence2 --model weights/demo --scenes 500

Runs the program on fresh scenes (needs Pillow, DejaVu fonts and numpy) and prints the tables of docs/scores.md.
"""
from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import scenes

SEED = 192_837_465      # neither training nor evaluate.py uses it
BANDS = 6


def ask(a, files, tasks, *more):
    """Answer records of the program, in its order: file by file, task by task."""
    command = [a.program, "-m", a.model, "-t", "1", "-q", "-f", "jsonl", *more]
    for task in tasks:
        command += ["-p", task]
    done = subprocess.run(command + [str(f) for f in files], check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def box_iou(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = max(w, 0) * max(h, 0)
    area = lambda r: max(r[2] - r[0], 0) * max(r[3] - r[1], 0)
    return inter / max(area(a) + area(b) - inter, 1e-9)


def mask(numbers, side=250):
    image = Image.new("1", (side, side))
    if len(numbers) >= 6:
        ImageDraw.Draw(image).polygon([(numbers[k] * side / 1000, numbers[k + 1] * side / 1000) for k in range(0, len(numbers) - 1, 2)], fill=1)
    return np.asarray(image)


def mask_iou(a, b):
    return (a & b).sum() / max((a | b).sum(), 1)


def gold_items(text, numbers):
    """[(label, numbers)] of an exact answer."""
    out = []
    for label, run in re.findall(r"([^<]*)((?:<loc_\d+>)+)", text):
        v = [int(x) for x in re.findall(r"<loc_(\d+)>", run)]
        out += [(label.strip(), v[k:k + numbers]) for k in range(0, len(v) - numbers + 1, numbers)]
    return out


def bins(item, width, height):
    """Coordinates of an item in 1/1000 of the picture."""
    shape = item.get("box") or item.get("quad") or item["polygons"][0]
    return [c * 1000 / (height if k % 2 else width) for k, c in enumerate(shape)]


def hull(v):
    return min(v[0::2]), min(v[1::2]), max(v[0::2]), max(v[1::2])


def matched(record, gold, numbers, threshold=0.5):
    """[(item, place right, label right)]; each exact item can be found once."""
    left, out = gold_items(gold, numbers), []
    for item in record["items"]:
        box = hull(bins(item, record["width"], record["height"]))
        best = max(left, key=lambda g: box_iou(box, hull(g[1])), default=None)
        place = best is not None and box_iou(box, hull(best[1])) >= threshold
        out.append((item, place, place and best[0] == item["label"]))
        if place:
            left.remove(best)
    return out


def auroc(scores, right):
    """Probability that a right answer has the higher score; ties count half."""
    scores, right = np.asarray(scores), np.asarray(right, bool)
    good, bad = scores[right], scores[~right]
    if not len(good) or not len(bad):
        return None
    order = np.sort(bad)
    below, upto = np.searchsorted(order, good, "left"), np.searchsorted(order, good, "right")
    return float((below + upto).sum() / (2 * len(good) * len(bad)))


def table(title, pairs):
    """Bands of equally many answers, from the lowest scores to the highest."""
    scores, right = [p[0] for p in pairs], [bool(p[1]) for p in pairs]
    value = auroc(scores, right)
    print(f"\n**{title}**: {len(pairs)} answers, {100 * np.mean(right):.1f} % right, "
          f"AUROC {'undefined' if value is None else format(value, '.3f')}\n")
    print("| score | answers | right |\n|---|---|---|")
    pairs = sorted(pairs)
    for band in np.array_split(np.arange(len(pairs)), BANDS):
        inside = [pairs[k] for k in band]
        if inside:
            print(f"| {inside[0][0]:.3f} to {inside[-1][0]:.3f} | {len(inside)} | {100 * np.mean([r for _, r in inside]):.1f} % |")


def make_scenes(folder, count):
    rng, files, answers = random.Random(SEED), [], []
    for k in range(count):
        scene = scenes.make_scene(rng)
        files.append(folder / f"{k:04d}.png")
        scene.image.save(files[-1])
        answers.append(scenes.answers(scene, rng))
    return files, answers


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--program", default="build/florence2")
    ap.add_argument("--model", default="weights/demo")
    ap.add_argument("--scenes", type=int, default=500)
    a = ap.parse_args()
    found = {k: [] for k in ("place", "label", "both", "caption", "detailed", "word", "outline")}
    with tempfile.TemporaryDirectory() as folder:
        files, answers = make_scenes(Path(folder), a.scenes)
        records = ask(a, files, ["od", "caption", "detailed_caption", "ocr_with_region"])
        for k, gold in enumerate(answers):
            od, caption, detailed, words = records[4 * k:4 * k + 4]
            for item, place, label in matched(od, gold["<OD>"][1], 4):
                found["place"].append((item["score"], place))
                if place:
                    found["label"].append((item["label_score"], label))
                found["both"].append((item["score"] * item["label_score"], label))
            found["caption"].append((caption["confidence"], caption["text"] == gold["<CAPTION>"][1]))
            found["detailed"].append((detailed["confidence"], detailed["text"] == gold["<DETAILED_CAPTION>"][1]))
            for item, place, _ in matched(words, gold.get("<OCR_WITH_REGION>", ("", ""))[1], 8):
                found["word"].append((item["score"], place))
            region, outline = gold["<REGION_TO_SEGMENTATION>"]
            record = ask(a, [files[k]], ["region_to_segmentation"], "--text", region)[0]
            exact = mask(gold_items("x" + outline, outline.count("<"))[0][1])
            for item in record["items"]:
                got = mask(bins(item, record["width"], record["height"]))
                found["outline"].append((item["score"], mask_iou(got, exact) >= 0.75))
    table("Detection, `score`, right: IoU ≥ 0.5 with an object", found["place"])
    table("Detection, `label_score`, right: the label of the object that the box found", found["label"])
    table("Detection, `score` × `label_score`, right: place and label", found["both"])
    table("Caption, `confidence`, right: the exact sentence", found["caption"])
    table("Detailed caption, `confidence`, right: the exact text", found["detailed"])
    table("Words (OCR with region), `score`, right: IoU ≥ 0.5 with a word", found["word"])
    table("Segmentation of a region, `score`, right: mask IoU ≥ 0.75", found["outline"])


if __name__ == "__main__":
    main()
