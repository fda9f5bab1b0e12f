#!/usr/bin/env python3
"""florence2 against other runtimes, stage by stage, in one alternating run on the same seeded weights.

    python bench/compare.py --work DIR --peers florence2-fp32,openvino-f32,openvino-f32-tok --threads 2 --checks

The runtimes, the model graphs and the protocol are those of the peers' benchmark (bench.py in $FLORENCE2_PEERS, by default
../shared/peers beside the repository); its export.py makes DIR and needs torch, transformers and the runtimes. This file adds one
contestant, our stage_worker (cmake --preset bench), which reads DIR/base/model.safetensors like everybody else.
"""
import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile

import agreement

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PEERS = os.environ.get("FLORENCE2_PEERS", os.path.join(os.path.dirname(ROOT), "shared", "peers"))
WORKER = os.environ.get("FLORENCE2_STAGE_WORKER", os.path.join(ROOT, "build-bench", "bench", "stage_worker"))


def load_bench():
    sys.path.insert(0, PEERS)
    spec = importlib.util.spec_from_file_location("bench", os.path.join(PEERS, "bench.py"))
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    bench.__file__ = os.path.abspath(__file__)  # its workers are started through this file, so that they know us
    return bench


def contestant(bench):
    class Florence2(bench.Peer):
        """Drives stage_worker; inputs travel as files, times come back as JSON."""

        def __init__(self, *a, precision="fp32"):
            super().__init__(*a)
            self.precision = precision

        def load(self, stages):
            self.stages = stages
            self.process = subprocess.Popen([WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.dir = tempfile.mkdtemp(prefix="florence2-compare-")
            self.ask("load", self.W, self.T, self.precision)

        def ask(self, *words):
            self.process.stdin.write(" ".join(map(str, words)) + "\n")
            self.process.stdin.flush()
            reply = json.loads(self.process.stdout.readline())
            if "error" in reply:
                raise RuntimeError(reply["error"])
            return reply

        def close(self):
            self.process.stdin.close()
            self.process.wait()
            shutil.rmtree(self.dir)

        def prepare(self):
            path = os.path.join(self.dir, "pixels.f32")
            self.ref["pixels"].astype("<f4").tofile(path)
            self.ask("pixels", path)
            self.ask("vision", 1)
            self.ask("prefill", 1, *self.F2.TEXT_IDS)

        def run(self, stage, n):
            if stage == "vision":
                return self.ask("vision", n)["ms"]
            if stage == "prefill":
                return self.ask("prefill", n, *self.F2.TEXT_IDS)["ms"]
            if stage.startswith("decode"):
                return self.ask("decode", stage[-1], bench.T_PAST - n // 2, n)["ms"]
            raise ValueError(f"no stage {stage}")

        def caption(self, n=20):
            reply = self.ask("caption", n, *self.F2.TEXT_IDS)
            return reply["first"] / 1e3, reply["ms"][0] / 1e3

        def answers(self, reference):
            import numpy as np
            picture, tokens, logits = (os.path.join(self.dir, name) for name in ("picture.f32", "tokens.f32", "logits.f32"))
            for path in (tokens, logits):
                open(path, "wb").close()
            for pixels, fed in zip(reference["pixels"], reference["fed"]):
                pixels.astype("<f4").tofile(picture)
                self.ask("pixels", picture)
                self.ask("vision", 1, tokens)
                self.ask("prefill", 1, *self.F2.TEXT_IDS)
                self.ask("forced", logits, *fed)
            self.prepare()
            return (np.fromfile(tokens, "<f4").reshape(reference["tokens"].shape),
                    np.fromfile(logits, "<f4").reshape(reference["logits"].shape))
    return Florence2


def load_contestants():
    """The peers' bench module, with ourselves among its contestants and agreement.py's checks."""
    bench = load_bench()
    for precision in ("fp32", "bf16", "int8"):
        bench.PEERS[f"florence2-{precision}"] = (contestant(bench), dict(precision=precision))
    bench.Peer.answers = agreement.answers
    bench.Peer.check = agreement.check_peer
    return bench


def main():
    bench = load_contestants()
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--work", required=True, help="folder made by the peers' export.py")
    p.add_argument("--size", default="base")
    p.add_argument("--peers", default="florence2-fp32,florence2-int8,openvino-f32-tok")
    p.add_argument("--stages", default="vision,prefill,decode1,decode3")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--warm", type=int, default=2)
    p.add_argument("--limit-s", type=float, default=540)
    p.add_argument("--json", help="write all figures to this file")
    p.add_argument("--checks", action="store_true", help="agreement with torch in fp32 first (agreement.py)")
    p.add_argument("--rt", action="store_true", help="real-time priority for all contestants, on a machine with other jobs")
    p.add_argument("--worker", help=argparse.SUPPRESS)
    a = p.parse_args()
    a.slow_rounds, a.slow_ms, a.busy_ok, a.check, a.cold, a.pause, a.resume = a.rounds, 1e9, False, False, False, None, None
    if a.worker:
        bench.worker(a)
        return
    if a.checks:
        import f2model
        agreement.make_reference(f2model, os.path.join(a.work, a.size), a.size)
    bench.main(a)


if __name__ == "__main__":
    main()
