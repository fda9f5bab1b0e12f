"""The Python package on the demo checkpoint, against the reference's goldens. Exit code 4: numpy is missing."""

import ctypes
import gc
import json
import os
import pathlib
import pickle
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent
DEMO = SOURCE / "weights" / "demo"
SCENE = DEMO / "images" / "scene-1.png"
CAPTION = "A red sign, a white hexagon and a yellow heart on a lavender background."

try:
    import numpy
except ImportError:
    print("skipped: no numpy")
    sys.exit(4)

sys.path.insert(0, str(SOURCE / "python"))
import florence2  # noqa: E402

MODEL = florence2.Model(DEMO, precision="fp32")


def as_float32(value):
    """Numbers as float32: goldens are written so that rounding gives the exact value."""
    if isinstance(value, dict):
        return {key: as_float32(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_float32(each) for each in value]
    return value if isinstance(value, str) else float(numpy.float32(value))


class Goldens(unittest.TestCase):
    def test_answers_are_the_references(self):
        golden = json.loads((SOURCE / "tests" / "golden" / "demo.json").read_text())
        runner = MODEL.runner(1)
        compared = 0
        for picture in golden["images"]:
            image = runner.encode(DEMO / "images" / picture["file"])
            for case in picture["cases"]:
                beam = case["beam"]
                if beam["margin"] is not None and beam["margin"] < 1e-3:
                    continue  # a near-tie: a correct float32 implementation may differ
                for compat in ("hf", "ms"):
                    result = runner.run(image, case["task"], text=case["input"], compat=compat, max_new_tokens=200)
                    self.assertEqual(result.token_ids, beam["ids"], case["task"])
                    self.assertEqual(result.task, case["task"])
                    self.assertEqual(as_float32(result.answer), as_float32(beam["parsed"][compat]))
                    compared += 1
        print(f"{compared} answers compared with the references'")
        self.assertGreater(compared, 40)


class Pictures(unittest.TestCase):
    def setUp(self):
        self.runner = MODEL.runner(1)
        self.image = self.runner.encode(SCENE)

    def test_files_are_encoded(self):
        self.assertEqual((self.image.width, self.image.height), (240, 352))
        self.assertEqual(self.image.features.shape, (65, 128))
        self.assertEqual(self.image.features.dtype, numpy.float32)

    def test_pillow_images_and_arrays_are_what_the_file_is(self):
        try:
            from PIL import Image
        except ImportError:
            self.skipTest("no Pillow")
        with Image.open(SCENE) as picture:
            array = numpy.asarray(picture.convert("RGB"))
            self.assertEqual(self.runner.encode(picture), self.image)
        self.assertEqual(self.runner.encode(array), self.image)
        self.assertEqual(self.runner.encode(array[:, ::-1][:, ::-1]), self.image)
        self.assertNotEqual(self.runner.encode(array[::-1]), self.image)

    def test_grey_arrays_have_three_equal_channels(self):
        grey = numpy.arange(48, dtype=numpy.uint8).reshape(6, 8)
        self.assertEqual(self.runner.encode(grey), self.runner.encode(numpy.stack([grey] * 3, axis=2)))

    def test_arrays_of_one_row_may_have_any_stride(self):
        row = numpy.arange(15, dtype=numpy.uint8).reshape(5, 3)
        plain = self.runner.encode(row.reshape(1, 5, 3).copy())
        self.assertEqual(self.runner.encode(row[None]), plain)
        self.assertEqual(self.runner.encode(numpy.broadcast_to(row, (1, 5, 3))), plain)
        self.assertEqual(self.runner.encode(numpy.stack([row, row])[::-1][:1]), plain)

    def test_the_bytes_of_a_file_are_the_file(self):
        data = SCENE.read_bytes()
        for each in (data, bytearray(data), memoryview(data)):
            self.assertEqual(self.runner.encode(each), self.image)
        self.assertEqual(self.runner.run(data, "caption").answer, CAPTION)
        with self.assertRaisesRegex(florence2.Florence2Error, "<bytes>"):
            self.runner.encode(b"not a picture")

    def test_files_are_read_with_options(self):
        data = SCENE.read_bytes()
        with self.assertRaises(florence2.Florence2Error):
            self.runner.encode(data[:-2000])
        cut = self.runner.encode(data[:-2000], allow_truncated=True)
        self.assertEqual((cut.width, cut.height), (240, 352))
        with self.assertRaisesRegex(florence2.Florence2Error, "84,480 pixels, limit 100"):
            self.runner.encode(SCENE, max_pixels=100)
        with self.assertRaisesRegex(TypeError, "unknown option 'max_pixel'"):
            self.runner.encode(SCENE, max_pixel=100)
        with self.assertRaisesRegex(ValueError, "max_pixels must be 0"):
            self.runner.encode(SCENE, max_pixels=-1)
        with self.assertRaisesRegex(TypeError, "exif_rotate is for files, not for pixels"):
            self.runner.encode(numpy.zeros((4, 4, 3), dtype=numpy.uint8), exif_rotate=True)

    def test_a_batch_gives_what_each_picture_gives_alone(self):
        grey = numpy.arange(48, dtype=numpy.uint8).reshape(6, 8)
        images = self.runner.encode_batch([SCENE, grey, SCENE.read_bytes()])
        self.assertEqual(images, [self.image, self.runner.encode(grey), self.image])
        self.assertEqual(self.runner.encode_batch([]), [])
        with self.assertRaises(florence2.NotFoundError):
            self.runner.encode_batch([SCENE, DEMO / "missing.png"])

    def test_other_arrays_are_refused(self):
        with self.assertRaisesRegex(TypeError, "dtype float64, expected uint8"):
            self.runner.encode(numpy.zeros((4, 4, 3)))
        with self.assertRaisesRegex(ValueError, r"shape \[4, 4, 4\]"):
            self.runner.encode(numpy.zeros((4, 4, 4), dtype=numpy.uint8))

    def test_images_are_saved_and_loaded(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "scene.image"
            self.image.save(path)
            loaded = florence2.EncodedImage.load(path)
        self.assertEqual(loaded, self.image)
        self.assertEqual(self.runner.run(loaded, "caption").answer, CAPTION)


class Asking(unittest.TestCase):
    def setUp(self):
        self.runner = MODEL.runner(1)
        self.image = self.runner.encode(SCENE)

    def test_several_tasks_give_one_dictionary(self):
        answers = self.runner.ask(self.image, "<OD>", "caption")
        self.assertEqual(list(answers), ["<OD>", "<CAPTION>"])
        self.assertEqual(answers["<OD>"]["labels"], ["sign", "hexagon", "heart"])
        self.assertEqual(answers["<CAPTION>"], CAPTION)

    def test_items_have_scores(self):
        result = self.runner.run(self.image, "od")
        self.assertEqual([item.box for item in result.items], result.answer["bboxes"])
        for item in result.items:
            self.assertTrue(0 < item.score <= 1 and 0 < item.label_score <= 1)
        self.assertEqual(len(result.log_probs), len(result.token_ids) - 1)
        self.assertTrue(result.complete)
        self.assertGreater(result.timings_ms["vision"], 0)

    def test_text_lines_and_polygons(self):
        quads = self.runner.run(self.image, "ocr_with_region")
        self.assertEqual([line.text for line in quads.lines], quads.answer["labels"])
        result = self.runner.run(self.image, "referring_expression_segmentation", text="red sign")
        self.assertEqual([item.polygons for item in result.items], result.answer["polygons"])
        self.assertGreaterEqual(len(result.items[0].polygons[0]), 6)

    def test_a_batch_keeps_failures_apart(self):
        requests = [(self.image, "caption", {}), (self.image, "caption", {"region": (1, 2, 3, 4)})]
        answered, failed = self.runner.run_batch(requests)
        self.assertEqual(answered.answer, CAPTION)
        self.assertIsInstance(failed, florence2.ArgumentError)
        self.assertEqual(str(failed), "task <CAPTION> takes no region")
        self.assertEqual(self.runner.run_batch([]), [])

    def test_a_batch_keeps_the_images_that_its_caller_drops(self):
        requests = [(self.runner.encode(SCENE), "caption", {}) for _ in range(4)]
        other = MODEL.runner(1)

        def drop(tokens):
            if requests:
                requests.clear()
                other.encode(numpy.zeros((8, 8, 3), dtype=numpy.uint8))

        requests[0] = (requests[0][0], "caption", {"on_step": drop})
        self.assertEqual([each.answer for each in self.runner.run_batch(requests)], [CAPTION] * 4)

    def test_an_exception_of_one_callback_leaves_the_other_answers(self):
        def broken(tokens):
            raise KeyError(tokens)

        requests = [(self.image, "caption", {"on_step": broken}), (self.image, "caption", {})]
        failed, answered = self.runner.run_batch(requests)
        self.assertIsInstance(failed, KeyError)
        self.assertEqual(answered.answer, CAPTION)

    def test_prompts_and_custom_tasks(self):
        prompt = "Locate the objects with category name in the image."
        boxes = self.runner.run_prompt(self.image, prompt, prompt_answer="boxes")
        own = florence2.CustomTask("mine", "<MINE>", prompt, answer="boxes")
        self.assertEqual(self.runner.run(self.image, own).to_dict(), {"<MINE>": boxes.answer})
        self.assertEqual(boxes.answer["labels"], ["sign", "hexagon", "heart"])

    def test_custom_tasks_from_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "tasks.json"
            path.write_text('{"tasks": [{"name": "tags", "token": "<TAGS>", "prompt": "Tags?"}]}')
            (task,) = florence2.load_tasks(path)
        self.assertEqual(task, florence2.CustomTask("tags", "<TAGS>", "Tags?"))

    def test_settled_text_is_streamed(self):
        pieces, steps = [], []
        result = self.runner.run(self.image, "caption", num_beams=1, on_text=pieces.append, on_step=steps.append)
        self.assertEqual("".join(pieces), result.answer)
        self.assertGreater(len(pieces), 5)
        self.assertEqual(steps, sorted(steps))

    def test_callbacks_cancel_and_their_exceptions_come_out(self):
        with self.assertRaises(florence2.Cancelled):
            self.runner.run(self.image, "caption", on_step=lambda tokens: tokens < 3)

        def broken(tokens):
            raise KeyError(tokens)

        with self.assertRaises(KeyError):
            self.runner.run(self.image, "caption", on_step=broken)

    def test_whatever_is_false_cancels(self):
        for answer in (0, numpy.bool_(False)):
            with self.assertRaises(florence2.Cancelled):
                self.runner.run(self.image, "caption", on_step=lambda tokens: answer)

    def test_interrupts_end_a_run(self):
        endless = {"max_new_tokens": 200, "min_new_tokens": 200, "no_repeat_ngram": 0}
        for options in ({}, {"on_step": lambda tokens: None}, {"on_text": lambda text: None}):
            steps = []
            started = threading.Event()

            def interrupt():
                started.wait()
                os.kill(os.getpid(), signal.SIGINT)

            sender = threading.Thread(target=interrupt)
            sender.start()
            with self.assertRaises(KeyboardInterrupt):
                started.set()
                self.runner.run(self.image, "more_detailed_caption", **endless, **options)
                while True:  # a signal that came before the run or after it is none of the run's
                    steps.append(None)
            sender.join()
            self.assertIs(signal.getsignal(signal.SIGINT), signal.default_int_handler)
        self.assertEqual(self.runner.run(self.image, "caption").answer, CAPTION)

    def test_a_callback_cannot_use_its_runner(self):
        with self.assertRaisesRegex(RuntimeError, "a callback cannot use the runner that calls it"):
            self.runner.run(self.image, "caption", on_step=lambda tokens: bool(self.runner.run(self.image, "od")))
        self.assertEqual(self.runner.run(self.image, "caption").answer, CAPTION)

    def test_errors_travel_between_processes(self):
        with self.assertRaises(florence2.NotFoundError) as caught:
            self.runner.encode("/no/such/picture.png")
        copy = pickle.loads(pickle.dumps(caught.exception))
        self.assertIs(type(copy), florence2.NotFoundError)
        self.assertEqual((copy.status, str(copy)), (66, str(caught.exception)))

    def test_daemon_threads_end_with_the_interpreter(self):
        program = (
            "import florence2, sys, threading, time\n"
            "def work():\n"
            "    runner = florence2.Model(sys.argv[1]).runner(1)\n"
            "    image = runner.encode(sys.argv[2])\n"
            "    options = {'on_step': lambda tokens: begun.set()}\n"
            "    while True:\n"
            "        runner.run(image, 'caption', **options)\n"
            "        if sys.argv[3] == 'without': options = {}\n"
            "begun = threading.Event()\n"
            "threading.Thread(target=work, daemon=True).start()\n"
            "begun.wait()\n"
            "time.sleep(0.3)\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(SOURCE / "python")}
        for callback in ["with", "without"] * 4:
            ended = subprocess.run(
                [sys.executable, "-c", program, DEMO, SCENE, callback],
                env=environment,
                timeout=60,
                stderr=subprocess.PIPE,
            )
            self.assertEqual((ended.returncode, ended.stderr), (0, b""))

    def test_sampling_repeats_with_its_seed(self):
        drawn = [
            self.runner.run(self.image, "caption", sample=True, temperature=3.0, seed=seed, max_new_tokens=20).token_ids
            for seed in (1, 1, 2)
        ]
        self.assertEqual(drawn[0], drawn[1])
        self.assertNotEqual(drawn[0], drawn[2])

    def test_wrong_arguments(self):
        for expected, options in (
            (TypeError, {"beams": 1}),
            (ValueError, {"num_beams": 17}),
            (ValueError, {"compat": "torch"}),
            (ValueError, {"region": (1, 2)}),
            (ValueError, {"early_stopping": "maybe"}),
            (ValueError, {"num_beams": -1}),
            (ValueError, {"num_beams": 2**32 + 1}),
            (ValueError, {"seed": 2**64}),
            (TypeError, {"num_beams": 2.5}),
            (TypeError, {"classes": "sign"}),
            (TypeError, {"text": 5}),
            (ValueError, {"classes": ["si\0gn"]}),
        ):
            with self.assertRaises(expected):
                self.runner.run(self.image, "caption", **options)
        with self.assertRaisesRegex(ValueError, "threads must be"):
            MODEL.runner(2**32 + 1)
        with self.assertRaisesRegex(ValueError, "threads must be"):
            florence2.Model(DEMO, threads=2**32 + 1)
        with self.assertRaisesRegex(ValueError, "no such task"):
            self.runner.run(self.image, "no such task")
        with self.assertRaisesRegex(ValueError, "null byte"):
            self.runner.encode(f"{SCENE}\0.txt")
        with self.assertRaises(FileNotFoundError):
            florence2.Model("/no/such/folder")
        with self.assertRaisesRegex(FileNotFoundError, "/no/such/adapter"):
            florence2.Model(DEMO, adapters=[("/no/such/adapter", 1.0)])

    def test_threads_work_beside_each_other(self):
        """Each with a runner of its own; and calls let go of the interpreter's lock."""
        answers = []

        def work():
            runner = MODEL.runner(1)
            answers.append(runner.run(runner.encode(SCENE), "caption").answer)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [CAPTION] * 3)
        self.assertIs(type(florence2._native.lib), ctypes.CDLL)  # a PyDLL would hold the interpreter's lock


class Leaks(unittest.TestCase):
    def test_memory_stays_level_over_a_thousand_rounds(self):
        image = MODEL.runner(1).encode(SCENE)

        def rounds(count):
            for _ in range(count):
                MODEL.runner(1).run(image, "od", num_beams=1, max_new_tokens=2, on_step=lambda tokens: None)
            gc.collect()
            return resident_kib()

        before = rounds(200)  # allocator and caches settle
        grown = rounds(1000) - before
        # The smallest thing that a round creates is larger than 1 KiB; 1,000 of them would show as 1 MiB.
        self.assertLess(grown, 1024, "KiB more after 1,000 rounds")


def resident_kib():
    if not os.path.exists("/proc/self/statm"):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


if __name__ == "__main__":
    unittest.main()
