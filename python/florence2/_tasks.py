"""The table of tasks, and tasks of one's own."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import List, Union

from . import _native as native
from ._options import ANSWER_KINDS, number_of

_TASK_COUNT = 15
_INPUTS = ("none", "text", "region")


@dataclass(frozen=True)
class CustomTask:
    """A task: one of the table, or one that the table lacks, for fine-tunes."""

    name: str  #: for people
    token: str  #: "<GENERATE_TAGS>"
    prompt: str  #: sent to the model; "{input}" stands for the input
    answer: str = "text"  #: one of text, boxes, quads, polygons and boxes_or_polygons
    input: str = "none"  #: one of none, text and region
    description: str = ""


def _task_of(info: native.TaskInfo) -> CustomTask:
    return CustomTask(
        info.name.decode(),
        info.token.decode(),
        info.prompt.decode(),
        ANSWER_KINDS[info.answer],
        _INPUTS[info.input],
        info.description.decode(),
    )


def native_task(task: CustomTask) -> native.TaskInfo:
    info = native.TaskInfo()
    info.name = native.text_bytes("name", task.name)
    info.token = native.text_bytes("token", task.token)
    info.prompt = native.text_bytes("prompt", task.prompt)
    info.description = native.text_bytes("description", task.description)
    info.answer = number_of("answer", task.answer, ANSWER_KINDS)
    info.input = number_of("input", task.input, _INPUTS)
    return info


def describe_task(number: int) -> CustomTask:
    info = native.TaskInfo()
    native.call("fl2_task_describe", number, ctypes.byref(info))
    return _task_of(info)


def task_number(name: str) -> int:
    number = ctypes.c_int()
    native.call("fl2_task_parse", native.text_bytes("task", name), ctypes.byref(number))
    return number.value


def tasks() -> List[CustomTask]:
    """The fifteen tasks of the table."""
    return [describe_task(number) for number in range(_TASK_COUNT)]


def load_tasks(path: Union[str, os.PathLike[str]]) -> List[CustomTask]:
    """The tasks of a JSON file (load_tasks in model/florence2.hpp has its form)."""
    handle = native.Handle("fl2_tasks_free", "fl2_tasks_load", native.path_bytes(path))
    loaded = []
    for index in range(native.lib.fl2_tasks_count(handle.pointer)):
        info = native.TaskInfo()
        native.call("fl2_tasks_get", handle.pointer, index, ctypes.byref(info))
        loaded.append(_task_of(info))
    return loaded
