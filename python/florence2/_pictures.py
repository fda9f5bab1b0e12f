"""Pictures as callers have them, and their pixels as the library takes them."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Any, TypedDict, Union

import numpy

from . import _native as native
from ._options import integer_of, refuse_unknown

if TYPE_CHECKING:
    from PIL import Image

    Picture = Union[str, os.PathLike[str], bytes, "numpy.ndarray[Any, Any]", Image.Image]


class PictureOptions(TypedDict, total=False):
    """How files are read; arrays and Pillow images are taken as they are."""

    exif_rotate: bool  # obey the EXIF orientation, which the reference ignores
    allow_truncated: bool  # a file that ends early is no error
    scale_grey16: bool  # 16-bit grey takes the high byte in place of being clipped at 255
    max_pixels: int
    max_file_bytes: int


class DecodedPicture:
    """A picture's pixels, and what they lie in: a uint8 array or a picture of the library."""

    def __init__(self, picture: Picture, options: PictureOptions) -> None:
        refuse_unknown(options, PictureOptions.__annotations__)
        self._pixels = native.Pixels()
        if isinstance(picture, (str, os.PathLike)):
            self._open("fl2_picture_open", native.path_bytes(picture), native_options(options))
        elif isinstance(picture, (bytes, bytearray, memoryview)):
            data = bytes(picture)
            self._open("fl2_picture_decode", data, len(data), b"<bytes>", native_options(options))
        elif options:
            raise TypeError(f"{next(iter(options))} is for files, not for pixels")
        else:
            self._adopt(rgb_array(picture))

    def native(self) -> native.Pixels:
        """Valid as long as this object."""
        return self._pixels

    def _open(self, function: str, *arguments: object) -> None:
        opened = native.Handle("fl2_picture_free", function, *arguments)
        pointer = opened.pointer
        self._owner: object = opened
        self._pixels.rgb = native.lib.fl2_picture_rgb(pointer)
        self._pixels.width = native.lib.fl2_picture_width(pointer)
        self._pixels.height = native.lib.fl2_picture_height(pointer)
        self._pixels.row_bytes = 3 * self._pixels.width

    def _adopt(self, rgb: "numpy.ndarray[Any, Any]") -> None:
        self._owner = rgb
        self._pixels.rgb = rgb.ctypes.data
        self._pixels.height, self._pixels.width, _ = rgb.shape
        self._pixels.row_bytes = 3 * self._pixels.width  # not strides[0], which means nothing for a single row


def native_options(options: PictureOptions) -> object:
    result = native.PictureOptions()
    native.lib.fl2_picture_options_init(ctypes.byref(result), ctypes.sizeof(result))
    for name, value in options.items():
        setattr(result, name, integer_of(name, value, 2**63 - 1) if name.startswith("max") else int(bool(value)))
    return ctypes.byref(result)


def rgb_array(picture: Any) -> "numpy.ndarray[Any, Any]":
    """uint8 [height, width, 3] of an array or a Pillow image."""
    if hasattr(picture, "convert"):
        picture = picture.convert("RGB")
    array = numpy.asarray(picture)
    if array.dtype != numpy.uint8:
        raise TypeError(f"picture has dtype {array.dtype}, expected uint8")
    if array.ndim == 2:
        array = numpy.repeat(array[:, :, None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3:
        raise ValueError(f"picture has shape {list(array.shape)}, expected [height, width, 3] or [height, width]")
    return numpy.ascontiguousarray(array)
