"""What reduced precision costs: the demo checkpoint's answers about new scenes in several precisions, against fp32.

    python quality.py --scenes 1000 --work /tmp/quality

Draws scenes that neither train.py nor evaluate.py has seen, asks `florence2 run --requests` all tasks about them in each precision and
prints a Markdown table. Each value has a 95 % bootstrap interval over the scenes; the difference to fp32 has one of its own, paired by
scene. WORK keeps pictures and answers: answers that are there are not asked for again. Needs NumPy, Pillow and DejaVu fonts.
"""
from __future__ import annotations

import argparse
import json
import random
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import scenes
from metrics import score

REPOSITORY = Path(__file__).resolve().parents[2]
SEED = 135_792_468      # far from the seeds of train.py (seed * 1000 + worker) and evaluate.py
RESAMPLES = 2000
BASELINE = "fp32"


@dataclass
class Question:
    scene: int
    task: str
    gold: str


def draw_scenes(work: Path, count: int, tasks: set[str]) -> list[Question]:
    """Writes the pictures and WORK/requests.jsonl; the questions stand in the order of its lines. Without `tasks`: all."""
    rng, questions, lines = random.Random(SEED), [], []
    for number in range(count):
        scene = scenes.make_scene(rng)
        image = work / f"scene-{number}.png"
        asked = {task: answer for task, answer in scenes.answers(scene, rng).items() if not tasks or task in tasks}
        if asked:
            scene.image.save(image)
        for task, (text, gold) in asked.items():
            questions.append(Question(number, task, gold))
            lines.append(json.dumps({"image": str(image), "task": task} | ({"text": text} if text else {})) + "\n")
    (work / "requests.jsonl").write_text("".join(lines))
    return questions


def start(args, precision: str) -> subprocess.Popen | None:
    """A process that answers all requests into WORK/PRECISION.jsonl, unless that file is there."""
    answers = args.work / f"{precision}.jsonl"
    if answers.exists():
        return None
    return subprocess.Popen([args.program, "run", "-q", "-m", args.model, "-t", "1", "--precision", precision, "--requests",
                             args.work / "requests.jsonl", "-o", answers])


def read_answers(args, precision: str, questions: list[Question]) -> list[dict]:
    answers = [json.loads(line) for line in (args.work / f"{precision}.jsonl").read_text().splitlines()]
    if [answer["task"] for answer in answers] != [question.task for question in questions]:
        raise SystemExit(f"{precision}.jsonl answers other questions than these {len(questions)}: remove the folder {args.work}")
    return answers


def measures(questions: list[Question], answers: list[dict], baseline: list[dict]) -> dict:
    """{(task, metric): values}, one value a scene that can answer the task, in the order of the scenes."""
    values = defaultdict(list)
    for question, answer, reference in zip(questions, answers, baseline):
        values[question.task, "same tokens"].append(float(answer["token_ids"] == reference["token_ids"]))
        for metric, value in score(question.task, answer["text"], question.gold).items():
            values[question.task, metric].append(value)
    return {key: np.array(v) for key, v in values.items()}


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean."""
    rng = np.random.default_rng(0)      # the same draws for every metric
    counts = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), RESAMPLES)
    low, high = np.percentile(counts @ values / len(values), (2.5, 97.5))
    return low, high


def with_interval(values: np.ndarray, form: str) -> str:
    """Mean and interval in points (hundredths)."""
    return "{} ({}..{})".format(*(f"{100 * x:{form}}" for x in (values.mean(), *interval(values))))


def table(measured: dict, precisions: list[str]) -> str:
    """`measured`: {precision: measures()}."""
    others = [p for p in precisions if p != BASELINE]
    head = ["task", "n", "metric", BASELINE]
    head += [f"{p} {what}" for p in others for what in ("same tokens", "against " + BASELINE)]
    lines = [head, ["---"] * len(head)]
    for (task, metric), values in measured[BASELINE].items():
        if metric == "same tokens":
            continue
        row = [f"`{task}`", str(len(values)), metric, with_interval(values, ".1f")]
        for p in others:
            row += [f"{100 * measured[p][task, 'same tokens'].mean():.1f}", with_interval(measured[p][task, metric] - values, "+.2f")]
        lines.append(row)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def verdict(measured: dict, precision: str) -> str:
    """The share of equal answers over all tasks, and the largest loss."""
    same = np.concatenate([v for (_, metric), v in measured[precision].items() if metric == "same tokens"])
    losses = {key: (values - measured[BASELINE][key]).mean() for key, values in measured[precision].items() if key[1] != "same tokens"}
    worst = min(losses, key=losses.get)
    return (f"{precision}: {100 * same.mean():.2f} % of {len(same)} answers have the tokens of {BASELINE}; "
            f"largest loss {max(0.0, -100 * losses[worst]):.2f} points ({worst[0]} {worst[1]}), "
            f"mean change {100 * np.mean(list(losses.values())):+.3f}")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--program", type=Path, default=REPOSITORY / "build/florence2")
    ap.add_argument("--model", type=Path, default=REPOSITORY / "weights/demo")
    ap.add_argument("--scenes", type=int, default=1000)
    ap.add_argument("--precisions", default="fp32,bf16,int8", help="fp32 must be among them")
    ap.add_argument("--tasks", default="", help="ask these only, as '<OD>,<OCR_WITH_REGION>': many scenes of a task that is hard to judge")
    ap.add_argument("--work", type=Path, required=True)
    args = ap.parse_args()
    precisions = args.precisions.split(",")
    if BASELINE not in precisions:
        ap.error(f"--precisions: {BASELINE} must be among them")
    args.work.mkdir(parents=True, exist_ok=True)
    questions = draw_scenes(args.work, args.scenes, set(filter(None, args.tasks.split(","))))
    if not questions:
        ap.error(f"--tasks: no scene is asked {args.tasks}")
    for process in [p for p in [start(args, precision) for precision in precisions] if p]:
        if process.wait() != 0:
            raise SystemExit(f"florence2 failed with status {process.returncode}")
    answers = {p: read_answers(args, p, questions) for p in precisions}
    measured = {p: measures(questions, answers[p], answers[BASELINE]) for p in precisions}
    print(table(measured, precisions))
    print()
    for p in precisions:
        if p != BASELINE:
            print(verdict(measured, p))


if __name__ == "__main__":
    main()
