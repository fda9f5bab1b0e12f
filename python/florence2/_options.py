"""The keyword arguments of a run and their C form."""

from __future__ import annotations

import ctypes
import math
import operator
import threading
from typing import Any, Callable, List, Mapping, Optional, Sequence, TypedDict

from . import _native as native

ANSWER_KINDS = ("text", "boxes", "quads", "polygons", "boxes_or_polygons")
_COMPATS = ("none", "hf", "ms")
_EARLY_STOPPING = (True, False, "never")
_MOST_INT, _MOST_SEED = 2**31 - 1, 2**64 - 1


class Options(TypedDict, total=False):
    """What a run takes besides picture and task; model/florence2.hpp says more about each."""

    text: str  # phrase, caption or "<loc_..>" x 4, by task
    region: Sequence[float]  # x0, y0, x1, y1 in pixels of the source picture
    classes: Sequence[str]  # labels that the answer may use
    compat: str  # "none", "hf" or "ms"
    prompt_answer: str  # how run_prompt reads the answer: one of ANSWER_KINDS
    num_beams: int
    max_new_tokens: int
    min_new_tokens: int
    no_repeat_ngram: int
    length_penalty: float
    repetition_penalty: float
    early_stopping: object  # True, False or "never"
    well_formed: bool
    sample: bool
    temperature: float
    top_k: int
    top_p: float
    seed: int
    deadline_ms: float
    on_step: Callable[[int], Optional[bool]]  # tokens so far; False cancels
    on_text: Callable[[str], Optional[bool]]  # the next settled piece of text; False cancels


class Callbacks:
    """Calls callbacks and keeps their exception, which cannot travel through C, until the call is back."""

    ending = False  # the interpreter ends: no call may last

    def __init__(self) -> None:
        self.exception: Optional[BaseException] = None
        self.interrupted = False

    def guard(self, callback: Callable[..., Optional[bool]], *arguments: object) -> int:
        """0 cancels."""
        if self.interrupted or Callbacks.ending:
            return 0
        try:
            go_on = callback(*arguments)
            return int(go_on is None or bool(go_on))
        except BaseException as exception:  # noqa: BLE001 - raised again by the caller
            self.exception = exception
            return 0


def _go_on(_: int) -> None:
    """The callback of runs in the main thread that have none: Python hears of Ctrl-C while it calls it."""


def refuse_unknown(given: Mapping[str, object], known: Mapping[str, object]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise TypeError(f"unknown option {unknown[0]!r}")


def integer_of(name: str, value: object, most: int = _MOST_INT) -> int:
    number = operator.index(value)  # type: ignore[arg-type]
    if not 0 <= number <= most:  # ctypes would wrap it
        raise ValueError(f"{name} must be 0…{most}, not {number}")
    return number


def number_of(name: str, value: object, allowed: Sequence[object]) -> int:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}, not {value!r}")
    return list(allowed).index(value)


class NativeOptions:
    """`Options` as the C struct, with all that the struct points to."""

    def __init__(self, options: Options) -> None:
        refuse_unknown(options, Options.__annotations__)
        self.callbacks = Callbacks()
        self.compat = options.get("compat", "none")
        self.struct = native.RunOptions()
        native.lib.fl2_run_options_init(ctypes.byref(self.struct), ctypes.sizeof(self.struct))
        self._set_input(options)
        self._set_generation(options)
        self._set_callbacks(options)

    def _set_input(self, options: Options) -> None:
        if "text" in options:
            self.struct.text = native.text_bytes("text", options["text"])
        if "region" in options:
            if len(options["region"]) != 4:
                raise ValueError(f"region has {len(options['region'])} numbers, expected 4")
            self.struct.region = (ctypes.c_float * 4)(*options["region"])
        if "classes" in options:
            if isinstance(options["classes"], str):
                raise TypeError("classes must be several str, not one")
            names: List[bytes] = [native.text_bytes("class", name) for name in options["classes"]]
            self.struct.classes = (ctypes.c_char_p * len(names))(*names)
            self.struct.class_count = len(names)
        self.struct.compat = number_of("compat", self.compat, _COMPATS)
        self.struct.prompt_answer = number_of("prompt_answer", options.get("prompt_answer", "text"), ANSWER_KINDS)

    def _set_generation(self, options: Options) -> None:
        given: Mapping[str, Any] = options
        for name in ("num_beams", "max_new_tokens", "min_new_tokens", "no_repeat_ngram", "top_k", "seed"):
            if name in given:
                setattr(self.struct, name, integer_of(name, given[name], _MOST_SEED if name == "seed" else _MOST_INT))
        for name in ("length_penalty", "repetition_penalty", "temperature", "top_p", "deadline_ms"):
            if name in given:
                value = float(given[name])
                if math.isnan(value):
                    raise ValueError(f"{name} is not a number")
                setattr(self.struct, name, value)
        for name in ("well_formed", "sample"):
            setattr(self.struct, name, int(bool(given.get(name, False))))
        if "early_stopping" in options:
            self.struct.early_stopping = number_of("early_stopping", options["early_stopping"], _EARLY_STOPPING)

    def _set_callbacks(self, options: Options) -> None:
        guard = self.callbacks.guard
        if "on_step" in options or threading.current_thread() is threading.main_thread():
            on_step = options.get("on_step", _go_on)
            self.struct.on_step = native.OnStep(lambda tokens, _: guard(on_step, tokens))
        if "on_text" in options:
            on_text = options["on_text"]
            self.struct.on_text = native.OnText(lambda text, _: guard(on_text, text.decode()))

    def reference(self) -> object:
        return ctypes.byref(self.struct)
