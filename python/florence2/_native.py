"""The C API (model/florence2.h) by ctypes: structs, signatures and errors. ctypes gives up the GIL during each call."""

from __future__ import annotations

import ctypes
import os
import pathlib
from ctypes import POINTER, c_char_p, c_double, c_float, c_int, c_int32, c_int64, c_size_t, c_uint64, c_void_p
from typing import Optional, Union

OnStep = ctypes.CFUNCTYPE(c_int, c_int, c_void_p)
OnText = ctypes.CFUNCTYPE(c_int, c_char_p, c_void_p)

UNSET = -1  # leaves an int setting to the checkpoint; a float does so by being NaN


class Struct(ctypes.Structure):
    """A versioned struct: its first field is its size."""

    def __init__(self) -> None:
        super().__init__(ctypes.sizeof(type(self)))


class TaskInfo(Struct):
    _fields_ = [
        ("size", c_size_t),
        ("name", c_char_p),
        ("token", c_char_p),
        ("prompt", c_char_p),
        ("description", c_char_p),
        ("answer", c_int),
        ("input", c_int),
    ]


class Adapter(Struct):
    _fields_ = [("size", c_size_t), ("directory", c_char_p), ("scale", c_float)]


class ModelOptions(Struct):
    _fields_ = [
        ("size", c_size_t),
        ("threads", c_int),
        ("check_weights", c_int),
        ("isa", c_char_p),
        ("precision", c_char_p),
        ("adapters", POINTER(Adapter)),
        ("adapter_count", c_int),
    ]


class ModelInfo(Struct):
    _fields_ = [
        ("size", c_size_t),
        ("directory", c_char_p),
        ("size_name", c_char_p),
        ("layout", c_char_p),
        ("storage", c_char_p),
        ("isa", c_char_p),
        ("precision", c_char_p),
        ("parameters", c_int64),
        ("weight_bytes", c_int64),
        ("image_side", c_int),
        ("image_tokens", c_int),
        ("d_model", c_int),
        ("encoder_layers", c_int),
        ("decoder_layers", c_int),
        ("vocabulary", c_int),
        ("positions", c_int),
        ("tied_head", c_int),
        ("warning_count", c_int),
    ]


class Pixels(Struct):
    _fields_ = [
        ("size", c_size_t),
        ("rgb", c_void_p),
        ("width", c_int),
        ("height", c_int),
        ("row_bytes", ctypes.c_ssize_t),
    ]


class PictureOptions(Struct):
    _fields_ = [
        ("size", c_size_t),
        ("exif_rotate", c_int),
        ("allow_truncated", c_int),
        ("scale_grey16", c_int),
        ("max_pixels", c_int64),
        ("max_file_bytes", c_int64),
    ]


class RunOptions(Struct):
    _fields_ = [
        ("size", c_size_t),
        ("text", c_char_p),
        ("region", POINTER(c_float)),
        ("classes", POINTER(c_char_p)),
        ("class_count", c_int),
        ("compat", c_int),
        ("prompt_answer", c_int),
        ("num_beams", c_int),
        ("max_new_tokens", c_int),
        ("min_new_tokens", c_int),
        ("no_repeat_ngram", c_int),
        ("length_penalty", c_float),
        ("repetition_penalty", c_float),
        ("early_stopping", c_int),
        ("well_formed", c_int),
        ("sample", c_int),
        ("temperature", c_float),
        ("top_k", c_int),
        ("top_p", c_float),
        ("seed", c_uint64),
        ("deadline_ms", c_double),
        ("on_step", OnStep),
        ("on_text", OnText),
        ("user", c_void_p),
    ]


class Request(Struct):
    _fields_ = [
        ("size", c_size_t),
        ("image", c_void_p),
        ("task", c_int),
        ("prompt", c_char_p),
        ("options", POINTER(RunOptions)),
    ]


class Item(Struct):
    _fields_ = [
        ("size", c_size_t),
        ("label", c_char_p),
        ("shape", c_int),
        ("point_count", c_int),
        ("xy", POINTER(c_float)),
        ("polygon_count", c_int),
        ("polygon_points", POINTER(c_int)),
        ("score", c_float),
        ("label_score", c_float),
    ]


class TextLine(Struct):
    _fields_ = [
        ("size", c_size_t),
        ("text", c_char_p),
        ("items", POINTER(c_int)),
        ("item_count", c_int),
        ("box", c_float * 4),
        ("score", c_float),
    ]


class ResultInfo(Struct):
    _fields_ = [
        ("size", c_size_t),
        ("prompt", c_char_p),
        ("text", c_char_p),
        ("token_ids", POINTER(c_int32)),
        ("log_probs", POINTER(c_float)),
        ("token_count", c_int),
        ("complete", c_int),
        ("score", c_float),
        ("confidence", c_float),
        ("absent_class_count", c_int),
        ("absent_classes", POINTER(c_char_p)),
        ("preprocess_ms", c_double),
        ("vision_ms", c_double),
        ("prefill_ms", c_double),
        ("generate_ms", c_double),
    ]


class Status(int):
    """Result type of the functions that `call` checks."""


_OUT = POINTER(c_void_p)
_SIGNATURES = {
    "fl2_last_error": (c_char_p, []),
    "fl2_version": (c_char_p, []),
    "fl2_build_description": (c_char_p, []),
    "fl2_task_describe": (Status, [c_int, POINTER(TaskInfo)]),
    "fl2_task_parse": (Status, [c_char_p, POINTER(c_int)]),
    "fl2_tasks_load": (Status, [c_char_p, _OUT]),
    "fl2_tasks_free": (None, [c_void_p]),
    "fl2_tasks_count": (c_int, [c_void_p]),
    "fl2_tasks_get": (Status, [c_void_p, c_int, POINTER(TaskInfo)]),
    "fl2_model_load": (Status, [c_char_p, POINTER(ModelOptions), _OUT]),
    "fl2_model_free": (None, [c_void_p]),
    "fl2_model_describe": (Status, [c_void_p, POINTER(ModelInfo)]),
    "fl2_model_warning": (c_char_p, [c_void_p, c_int]),
    "fl2_runner_create": (Status, [c_void_p, c_int, _OUT]),
    "fl2_runner_free": (None, [c_void_p]),
    "fl2_picture_options_init": (None, [POINTER(PictureOptions), c_size_t]),
    "fl2_picture_open": (Status, [c_char_p, POINTER(PictureOptions), _OUT]),
    "fl2_picture_decode": (Status, [c_char_p, c_size_t, c_char_p, POINTER(PictureOptions), _OUT]),
    "fl2_picture_free": (None, [c_void_p]),
    "fl2_picture_width": (c_int, [c_void_p]),
    "fl2_picture_height": (c_int, [c_void_p]),
    "fl2_picture_rgb": (c_void_p, [c_void_p]),
    "fl2_encode": (Status, [c_void_p, POINTER(Pixels), _OUT]),
    "fl2_encode_batch": (Status, [c_void_p, POINTER(Pixels), c_size_t, _OUT]),
    "fl2_image_save": (Status, [c_void_p, c_char_p]),
    "fl2_image_load": (Status, [c_char_p, _OUT]),
    "fl2_image_free": (None, [c_void_p]),
    "fl2_image_equal": (c_int, [c_void_p, c_void_p]),
    "fl2_image_width": (c_int, [c_void_p]),
    "fl2_image_height": (c_int, [c_void_p]),
    "fl2_image_features": (POINTER(c_float), [c_void_p]),
    "fl2_image_tokens": (c_int, [c_void_p]),
    "fl2_image_dim": (c_int, [c_void_p]),
    "fl2_run_options_init": (None, [POINTER(RunOptions), c_size_t]),
    "fl2_run": (Status, [c_void_p, c_void_p, c_int, POINTER(RunOptions), _OUT]),
    "fl2_run_prompt": (Status, [c_void_p, c_void_p, c_char_p, POINTER(RunOptions), _OUT]),
    "fl2_run_custom": (Status, [c_void_p, c_void_p, POINTER(TaskInfo), POINTER(RunOptions), _OUT]),
    "fl2_run_batch": (Status, [c_void_p, POINTER(Request), c_size_t, _OUT]),
    "fl2_batch_free": (None, [c_void_p]),
    "fl2_batch_status": (c_int, [c_void_p, c_size_t]),
    "fl2_batch_error": (c_char_p, [c_void_p, c_size_t]),
    "fl2_batch_result": (c_void_p, [c_void_p, c_size_t]),
    "fl2_result_free": (None, [c_void_p]),
    "fl2_result_kind": (c_int, [c_void_p]),
    "fl2_result_text": (c_char_p, [c_void_p]),
    "fl2_result_item_count": (c_int, [c_void_p]),
    "fl2_result_items_dropped": (c_int, [c_void_p]),
    "fl2_result_item": (Status, [c_void_p, c_int, POINTER(Item)]),
    "fl2_result_line_count": (c_int, [c_void_p]),
    "fl2_result_line": (Status, [c_void_p, c_int, POINTER(TextLine)]),
    "fl2_result_describe": (Status, [c_void_p, POINTER(ResultInfo)]),
}


def _load() -> ctypes.CDLL:
    """$FLORENCE2_LIBRARY, else the library in this package."""
    path = os.environ.get("FLORENCE2_LIBRARY") or pathlib.Path(__file__).with_name("libflorence2.so")
    library = ctypes.CDLL(str(path))
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype = c_int if result is Status else result
        function.argtypes = arguments
    return library


lib = _load()


class Florence2Error(Exception):
    """A failure of the library. `status` is the exit status that the program would give (sysexits.h)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def __reduce__(self) -> tuple[type, tuple[int, str]]:  # BaseException's would call __init__ with the message alone
        return type(self), (self.status, str(self))


class Cancelled(Florence2Error):
    """A callback ended the work."""


class ArgumentError(Florence2Error, ValueError):
    """The caller asked for something that is not allowed."""


class NotFoundError(Florence2Error, FileNotFoundError):
    """An input does not exist."""


_ERRORS = {64: ArgumentError, 66: NotFoundError, 130: Cancelled}


def error_of(status: int, message: bytes) -> Florence2Error:
    return _ERRORS.get(status, Florence2Error)(status, message.decode("utf-8", "replace"))


def call(name: str, *arguments: object) -> None:
    """Calls a function that returns a status; raises what it says."""
    status = getattr(lib, name)(*arguments)
    if status != 0:
        raise error_of(status, lib.fl2_last_error())


def text_bytes(name: str, value: object) -> bytes:
    """UTF-8 for a `char*`; `name` is for messages."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    return _whole(name, value.encode())


def path_bytes(path: Union[str, os.PathLike[str]]) -> bytes:
    return _whole("path", os.fsencode(path))


def _whole(name: str, text: bytes) -> bytes:
    if b"\0" in text:  # where C would take it to end
        raise ValueError(f"{name} has an embedded null byte")
    return text


class Handle:
    """Owns what a library function created; `free` names the function that frees it."""

    def __init__(self, free: str, create: str, *arguments: object) -> None:
        self._free = getattr(lib, free)
        self.pointer = c_void_p()
        call(create, *arguments, ctypes.byref(self.pointer))

    @classmethod
    def adopt(cls, free: str, pointer: Optional[int]) -> Handle:
        """Owns what was created otherwise."""
        self = cls.__new__(cls)
        self._free = getattr(lib, free)
        self.pointer = c_void_p(pointer)
        return self

    def __del__(self) -> None:
        if getattr(self, "pointer", None):
            self._free(self.pointer)
            del self.pointer
