"""Florence-2 on CPUs: load a checkpoint, encode a picture once, ask it any of the fifteen tasks.

    model = florence2.Model("Florence-2-base")
    runner = model.runner()
    image = runner.encode("street.jpg")            # the vision tower runs once
    runner.ask(image, "<OD>", "<CAPTION>")         # {"<OD>": {"bboxes": …, "labels": …}, "<CAPTION>": "…"}
    for item in runner.run(image, "<OD>").items:
        print(item.label, item.box, item.score)
"""

from ._model import EncodedImage, Model, Runner, build_description, version
from ._native import ArgumentError, Cancelled, Florence2Error, NotFoundError
from ._options import Options
from ._pictures import PictureOptions
from ._result import Item, Result, TextLine
from ._tasks import CustomTask, load_tasks, tasks

__version__ = version()
__all__ = [
    "ArgumentError",
    "Cancelled",
    "CustomTask",
    "EncodedImage",
    "Florence2Error",
    "Item",
    "Model",
    "NotFoundError",
    "Options",
    "PictureOptions",
    "Result",
    "Runner",
    "TextLine",
    "build_description",
    "load_tasks",
    "tasks",
    "version",
]
