"""Models, runners and encoded pictures."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import signal
import threading
import weakref
from types import FrameType
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, TypeVar, Union

import numpy

from . import _native as native
from ._options import Callbacks, NativeOptions, Options, integer_of
from ._pictures import DecodedPicture, PictureOptions
from ._result import Result, read_result
from ._tasks import CustomTask, describe_task, native_task, task_number

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._pictures import Picture


T = TypeVar("T")


def version() -> str:
    return str(native.lib.fl2_version().decode())


def build_description() -> str:
    """Commit, compiler and instruction sets."""
    return str(native.lib.fl2_build_description().decode())


class Model:
    """A checkpoint: a folder in Microsoft's or Hugging Face's layout. Threads may share it."""

    def __init__(
        self,
        directory: Union[str, os.PathLike[str]],
        *,
        precision: str = "auto",
        threads: int = 0,
        isa: str = "",
        check_weights: bool = False,
        adapters: Sequence[tuple[Union[str, os.PathLike[str]], float]] = (),
    ) -> None:
        """`adapters`: folders in PEFT's layout with their scale (1.0: as trained), merged in this order."""
        options = native.ModelOptions()
        options.precision = native.text_bytes("precision", precision)
        options.threads = integer_of("threads", threads)
        options.isa = native.text_bytes("isa", isa)
        options.check_weights = int(check_weights)
        entries = (native.Adapter * len(adapters))()
        for entry, (folder, scale) in zip(entries, adapters):
            entry.size = ctypes.sizeof(native.Adapter)
            entry.directory = native.path_bytes(folder)
            entry.scale = scale
        options.adapters = entries
        options.adapter_count = len(adapters)
        path = native.path_bytes(directory)
        self._handle = native.Handle("fl2_model_free", "fl2_model_load", path, ctypes.byref(options))

    @property
    def info(self) -> Dict[str, Any]:
        """What the checkpoint holds (ModelInfo in model/florence2.hpp), with its warnings."""
        raw = native.ModelInfo()
        native.call("fl2_model_describe", self._handle.pointer, ctypes.byref(raw))
        values = {name: getattr(raw, name) for name, *_ in raw._fields_ if name not in ("size", "warning_count")}
        info = {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}
        info["tied_head"] = bool(info["tied_head"])
        warning = native.lib.fl2_model_warning
        info["warnings"] = [warning(self._handle.pointer, i).decode() for i in range(raw.warning_count)]
        return info

    def runner(self, threads: int = 0) -> Runner:
        """A runner on this model; 0 threads: all physical cores that this process may use."""
        return Runner(self, threads)


class EncodedImage:
    """The vision tower's answer to one picture: ask it any number of times, by any runner of the same model."""

    def __init__(self, handle: native.Handle) -> None:
        self._handle = handle

    @classmethod
    def load(cls, path: Union[str, os.PathLike[str]]) -> EncodedImage:
        return cls(native.Handle("fl2_image_free", "fl2_image_load", native.path_bytes(path)))

    def save(self, path: Union[str, os.PathLike[str]]) -> None:
        native.call("fl2_image_save", self._handle.pointer, native.path_bytes(path))

    @property
    def width(self) -> int:
        return int(native.lib.fl2_image_width(self._handle.pointer))

    @property
    def height(self) -> int:
        return int(native.lib.fl2_image_height(self._handle.pointer))

    @property
    def features(self) -> "numpy.ndarray[Any, Any]":
        """A copy, float32 [tokens, dim]."""
        pointer = self._handle.pointer
        shape = (native.lib.fl2_image_tokens(pointer), native.lib.fl2_image_dim(pointer))
        return numpy.ctypeslib.as_array(native.lib.fl2_image_features(pointer), shape).copy()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EncodedImage):
            return NotImplemented
        return bool(native.lib.fl2_image_equal(self._handle.pointer, other._handle.pointer))

    __hash__ = None  # type: ignore[assignment]


@contextlib.contextmanager
def _interruptible(options: Sequence[NativeOptions]) -> Iterator[None]:
    """In the main thread Ctrl-C cancels the call at its next step; what the program does about it comes after."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    caught: List[Tuple[int, Optional[FrameType]]] = []

    def remember(number: int, frame: Optional[FrameType]) -> None:
        caught.append((number, frame))
        for each in options:
            each.callbacks.interrupted = True

    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if caught:
            handler(*caught[0])


_runners: weakref.WeakSet[Runner] = weakref.WeakSet()


@atexit.register
def _end() -> None:
    """Waits for daemon threads to leave the library: the interpreter ends each where it next runs Python, and a
    callback, below which lies C++, is no place to end at."""
    Callbacks.ending = True
    for runner in list(_runners):
        with runner._lock:
            pass


def _must_stop() -> bool:
    return Callbacks.ending and threading.current_thread() is not threading.main_thread()


def _stop_if_ending() -> None:
    if _must_stop():
        threading.Event().wait()


class Runner:
    """Encodes pictures and answers questions. Threads that share one wait for each other; give each its own instead."""

    def __init__(self, model: Model, threads: int = 0) -> None:
        number = integer_of("threads", threads)
        self._handle = native.Handle("fl2_runner_free", "fl2_runner_create", model._handle.pointer, number)
        self._lock = threading.Lock()
        self._user: Optional[int] = None  # the thread that holds the lock
        _runners.add(self)

    def encode(self, picture: Picture, **options: Unpack[PictureOptions]) -> EncodedImage:
        """A path, the bytes of a file, a uint8 array [height, width, 3] or [height, width], or a Pillow image."""
        pixels = DecodedPicture(picture, options)
        with self._alone():
            return EncodedImage(
                native.Handle("fl2_image_free", "fl2_encode", self._handle.pointer, ctypes.byref(pixels.native()))
            )

    def encode_batch(self, pictures: Iterable[Picture], **options: Unpack[PictureOptions]) -> List[EncodedImage]:
        """The same for several pictures, which give bit for bit what each gives alone."""
        decoded = [DecodedPicture(picture, options) for picture in pictures]
        sources = (native.Pixels * len(decoded))(*(each.native() for each in decoded))
        images = (ctypes.c_void_p * len(decoded))()
        with self._alone():
            native.call("fl2_encode_batch", self._handle.pointer, sources, len(decoded), images)
        return [EncodedImage(native.Handle.adopt("fl2_image_free", image)) for image in images]

    def run(
        self, image: Union[EncodedImage, Picture], task: Union[str, CustomTask], **options: Unpack[Options]
    ) -> Result:
        """The answer to a task: "<OD>", "OD" or "od", or one of your own."""
        if isinstance(task, CustomTask):
            return self._run("fl2_run_custom", image, ctypes.byref(native_task(task)), task.token, options)
        number = task_number(task)
        return self._run("fl2_run", image, number, describe_task(number).token, options)

    def run_prompt(self, image: Union[EncodedImage, Picture], prompt: str, **options: Unpack[Options]) -> Result:
        """Sends `prompt` as it is; the option prompt_answer says how to read the answer."""
        return self._run("fl2_run_prompt", image, native.text_bytes("prompt", prompt), prompt, options)

    def _run(self, function: str, image: Any, question: object, task: str, options: Options) -> Result:
        image = self._encoded(image)
        native_options = NativeOptions(options)

        def ask() -> Result:
            answered = native.Handle(
                "fl2_result_free",
                function,
                self._handle.pointer,
                image._handle.pointer,
                question,
                native_options.reference(),
            )
            return read_result(answered.pointer, task, native_options.compat)

        return self._locked(ask, [native_options])

    def run_batch(self, requests: Sequence[tuple[EncodedImage, str, Options]]) -> List[Union[Result, Exception]]:
        """One answer, or what went wrong, for each (image, task, options); decoded together, each as if alone. What a
        request's callback raises is what went wrong with it."""
        requests = list(requests)  # keeps the images, whatever becomes of the caller's list meanwhile
        numbers = [task_number(task) for _, task, _ in requests]
        all_options = [NativeOptions(options) for _, _, options in requests]
        raw = (native.Request * len(requests))()
        for entry, (image, _, _), number, options in zip(raw, requests, numbers, all_options):
            entry.size = ctypes.sizeof(native.Request)
            entry.image = image._handle.pointer.value
            entry.task = number
            entry.options = ctypes.pointer(options.struct)

        with self._alone(), _interruptible(all_options):
            batch = native.Handle("fl2_batch_free", "fl2_run_batch", self._handle.pointer, raw, len(requests))
        return [
            self._batch_answer(batch.pointer, i, describe_task(number).token, options)
            for i, (number, options) in enumerate(zip(numbers, all_options))
        ]

    @staticmethod
    def _batch_answer(batch: object, index: int, task: str, options: NativeOptions) -> Union[Result, Exception]:
        raised = options.callbacks.exception
        if isinstance(raised, Exception):
            return raised
        if raised is not None:  # KeyboardInterrupt and the like end more than one request
            raise raised
        status = native.lib.fl2_batch_status(batch, index)
        if status != 0:
            return native.error_of(status, native.lib.fl2_batch_error(batch, index))
        return read_result(native.lib.fl2_batch_result(batch, index), task, options.compat)

    def ask(self, image: Union[EncodedImage, Picture], *names: str, **options: Unpack[Options]) -> Dict[str, Any]:
        """{"<OD>": {"bboxes": …, "labels": …}, "<CAPTION>": "…"}: several tasks about one picture, encoded once."""
        image = self._encoded(image)
        answers: Dict[str, Any] = {}
        for result in self.run_batch([(image, name, options) for name in names]):
            if isinstance(result, Exception):
                raise result
            answers.update(result.to_dict())
        return answers

    def _encoded(self, image: Any) -> EncodedImage:
        return image if isinstance(image, EncodedImage) else self.encode(image)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if self._user == threading.get_ident():
            raise RuntimeError("a callback cannot use the runner that calls it")
        with self._lock:
            if not _must_stop():
                self._user = threading.get_ident()
                try:
                    yield
                finally:
                    self._user = None
                return
        _stop_if_ending()  # without the lock, which _end waits for

    def _locked(self, ask: Callable[[], T], options: Sequence[NativeOptions]) -> T:
        """Runs `ask` alone; an exception of a callback comes out as itself."""
        try:
            with self._alone(), _interruptible(options):
                answered = ask()
        except native.Cancelled:
            _stop_if_ending()
            self._raise_callback_failure(options)
            raise
        self._raise_callback_failure(options)
        return answered

    @staticmethod
    def _raise_callback_failure(options: Sequence[NativeOptions]) -> None:
        for each in options:
            if each.callbacks.exception is not None:
                raise each.callbacks.exception
