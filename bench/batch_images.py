#!/usr/bin/env python3
"""Pictures per second in batches against one question after another, through the Python package.

    FLORENCE2_LIBRARY=build/libflorence2.so python bench/batch_images.py --model DIR --tasks caption,od --tokens 40 PICTURE ...

Alone: each picture is encoded, then each task asked, as in a loop around run(). In a batch: encode_batch, then run_batch of all. Both
must give the same tokens. Medians of --rounds, in turn.
"""
import argparse
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "python"))
import florence2  # noqa: E402


def alone(runner, pictures, tasks, options):
    answers = []
    for picture in pictures:
        image = runner.encode(picture)
        answers += [runner.run(image, task, **options).token_ids for task in tasks]
    return answers


def together(runner, pictures, tasks, options):
    images = runner.encode_batch(pictures)
    return [result.token_ids for result in runner.run_batch([(image, task, options) for image in images for task in tasks])]


def timed(way, *arguments):
    start = time.perf_counter()
    answers = way(*arguments)
    return time.perf_counter() - start, answers


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", required=True)
    p.add_argument("--precision", default="auto")
    p.add_argument("--tasks", default="caption,od,ocr,region_proposal")
    p.add_argument("--tokens", type=int, default=40, help="the most of an answer")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("pictures", nargs="+")
    a = p.parse_args()
    runner = florence2.Model(a.model, precision=a.precision).runner(a.threads)
    arguments = (runner, a.pictures, a.tasks.split(","), {"max_new_tokens": a.tokens})
    times = {alone: [], together: []}
    for _ in range(a.rounds):
        answers = []
        for way, seconds in times.items():
            took, given = timed(way, *arguments)
            seconds.append(took)
            answers.append(given)
        if answers[0] != answers[1]:
            sys.exit("the batch answers otherwise")
    one, batch = (statistics.median(seconds) for seconds in times.values())
    tokens = sum(map(len, answers[0]))
    print(f"{len(a.pictures)} pictures, {a.tasks}, {tokens} tokens: alone {one:.2f} s, together {batch:.2f} s ({one / batch:.2f}x)")


if __name__ == "__main__":
    main()
