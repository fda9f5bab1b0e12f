"""Answers."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Union

from . import _native as native
from ._options import ANSWER_KINDS

_BOX, _QUAD, _POLYGONS = range(3)

# Shape column and label column of the reference's dictionaries, by answer kind and shape.
_COLUMNS = {
    "boxes": {_BOX: ("bboxes", "labels")},
    "quads": {_QUAD: ("quad_boxes", "labels")},
    "polygons": {_POLYGONS: ("polygons", "labels")},
    "boxes_or_polygons": {_BOX: ("bboxes", "bboxes_labels"), _POLYGONS: ("polygons", "polygons_labels")},
}


@dataclass
class Item:
    """One thing that an answer names; exactly one of box, quad and polygons is set. Pixels of the source picture."""

    label: str
    score: float  #: trust in where it is, in (0, 1]; 0 where unknown (docs/scores.md)
    label_score: float  #: trust in what it is; 0 without label
    box: Optional[List[float]] = None  #: x0, y0, x1, y1
    quad: Optional[List[float]] = None  #: four corners, x before y, clockwise
    polygons: Optional[List[List[float]]] = None  #: each x, y, x, y, …


@dataclass
class TextLine:
    """Text regions on one line of the page."""

    text: str
    items: List[int]  #: indices into Result.items, in reading order
    box: List[float]
    score: float


@dataclass
class Result:
    """An answer with all that is known about it."""

    task: str  #: "<OD>", or the prompt of run_prompt
    kind: str  #: "text", "boxes", "quads", "polygons" or "boxes_or_polygons"
    answer: Union[str, Dict[str, List[Any]]]  #: in the reference's shape
    items: List[Item]
    items_dropped: int  #: incomplete location groups that were not turned into items
    lines: List[TextLine]  #: of OCR answers, in reading order
    text: str  #: as the model wrote it, location tokens kept
    prompt: str
    token_ids: List[int]  #: from the start token to </s>
    log_probs: List[float]  #: one a generated token
    score: float  #: sum of log-probabilities / length^penalty
    confidence: float  #: exp of the mean log-probability of the answer's tokens
    complete: bool  #: False: cut by the limit of tokens
    absent_classes: List[str] = field(default_factory=list)
    timings_ms: Dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> Dict[str, Any]:
        """{task: answer}, as the reference's post_process_generation gives it."""
        return {self.task: self.answer}


def _item(handle: object, index: int, number: type) -> tuple[int, Item]:
    raw = native.Item()
    native.call("fl2_result_item", handle, index, ctypes.byref(raw))
    xy = [number(value) for value in raw.xy[: 2 * raw.point_count]]
    item = Item(raw.label.decode(), raw.score, raw.label_score)
    if raw.shape == _BOX:
        item.box = xy
    elif raw.shape == _QUAD:
        item.quad = xy
    else:
        item.polygons = []
        begin = 0
        for count in raw.polygon_points[: raw.polygon_count]:
            item.polygons.append(xy[begin : begin + 2 * count])
            begin += 2 * count
    return raw.shape, item


def _line(handle: object, index: int) -> TextLine:
    raw = native.TextLine()
    native.call("fl2_result_line", handle, index, ctypes.byref(raw))
    return TextLine(raw.text.decode(), raw.items[: raw.item_count], list(raw.box), raw.score)


def _columns(kind: str, shaped: list[tuple[int, Item]]) -> Dict[str, List[Any]]:
    answer: Dict[str, List[Any]] = {}
    for shape, (shapes, labels) in _COLUMNS[kind].items():
        chosen = [item for of, item in shaped if of == shape]
        answer[shapes] = [item.box or item.quad or item.polygons for item in chosen]
        answer[labels] = [item.label for item in chosen]
    return answer


def read_result(handle: object, task: str, compat: str) -> Result:
    """The C result as a Result of its own. Compat "hf" has whole coordinates, as that reference."""
    number = int if compat == "hf" else float
    shaped = [_item(handle, i, number) for i in range(native.lib.fl2_result_item_count(handle))]
    kind = ANSWER_KINDS[native.lib.fl2_result_kind(handle)]
    info = native.ResultInfo()
    native.call("fl2_result_describe", handle, ctypes.byref(info))
    return Result(
        task=task,
        kind=kind,
        answer=native.lib.fl2_result_text(handle).decode() if kind == "text" else _columns(kind, shaped),
        items=[item for _, item in shaped],
        items_dropped=native.lib.fl2_result_items_dropped(handle),
        lines=[_line(handle, i) for i in range(native.lib.fl2_result_line_count(handle))],
        text=info.text.decode(),
        prompt=info.prompt.decode(),
        token_ids=info.token_ids[: info.token_count],
        log_probs=info.log_probs[: info.token_count - 1],
        score=info.score,
        confidence=info.confidence,
        complete=bool(info.complete),
        absent_classes=[name.decode() for name in info.absent_classes[: info.absent_class_count]],
        timings_ms={name: getattr(info, f"{name}_ms") for name in ("preprocess", "vision", "prefill", "generate")},
    )
