"""Reads what format_samples wrote, with independent readers, and compares it with the JSON lines of the same answers.

read_formats.py FOLDER standard|pycocotools|supervision    exits with 4 when the reader is not installed
"""

import csv
import itertools
import json
import pathlib
import sys
import warnings
import xml.etree.ElementTree as ElementTree
import zlib

SVG = "{http://www.w3.org/2000/svg}"


def close(a, b, tolerance=1e-6):
    """Equal numbers, or lists of them, up to a share of the larger one (float32 written with all its digits)."""
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(close(x, y, tolerance) for x, y in zip(a, b))
    return abs(a - b) <= tolerance * max(1, abs(a), abs(b))


def check(condition, message):
    if not condition:
        sys.exit(f"read_formats.py: {message}")


class Answers:
    """The JSON lines: per picture the items and texts, in order."""

    def __init__(self, folder):
        self.pictures = {}
        for line in (folder / "answers.jsonl").read_text().splitlines():
            record = json.loads(line)
            picture = self.pictures.setdefault(record["image"], {"items": [], "texts": []})
            if isinstance(record["answer"], str):
                picture["texts"].append(record["answer"])
            picture["items"] += record["items"]

    def __iter__(self):
        return iter(self.pictures.items())


def outlines(item):
    if "box" in item:
        x0, y0, x1, y1 = item["box"]
        return [[x0, y0, x1, y0, x1, y1, x0, y1]]
    return [item["quad"]] if "quad" in item else item["polygons"]


def bounds(item):
    if "box" in item:
        return item["box"]
    xs = [x for outline in outlines(item) for x in outline[0::2]]
    ys = [y for outline in outlines(item) for y in outline[1::2]]
    return [min(xs), min(ys), max(xs), max(ys)]


def class_of(item):
    return "text" if "quad" in item else item["label"] or "a house"


# --- The standard library -----------------------------------------------------------------------------------------


def read_csv(folder, answers):
    with open(folder / "csv.out", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for name, picture in answers:
        mine = [row for row in rows if row["image"] == name]
        things = [row for row in mine if row["shape"]]
        check(len(things) == len(picture["items"]), "csv: number of things")
        for row, item in zip(things, picture["items"]):
            check(row["label"] == item["label"], f"csv: label {row['label']!r}")
            check(close([float(row[k]) for k in ("x0", "y0", "x1", "y1")], bounds(item)), "csv: box")
            check(close(float(row["score"]), item["score"]), "csv: score")
            if "box" not in item:
                parts = [[float(n) for n in part.split()] for part in row["points"].split(";")]
                check(close(parts, outlines(item)), "csv: points")
        check([row["text"] for row in mine if not row["shape"]] == picture["texts"], "csv: texts")


def read_voc(folder, answers):
    for name, picture in answers:
        root = ElementTree.parse(folder / "voc" / (pathlib.Path(name).stem + ".xml")).getroot()
        check(root.findtext("filename") == pathlib.Path(name).name, "voc: file name")
        check(root.findtext("size/width") == "200" and root.findtext("size/height") == "120", "voc: size")
        objects = root.findall("object")
        check(len(objects) == len(picture["items"]), "voc: number of objects")
        for element, item in zip(objects, picture["items"]):
            check(element.findtext("name") == class_of(item), f"voc: name {element.findtext('name')!r}")
            exact = [[float(n) for n in part.text.split()] for part in element.findall("exact")]
            check(close(exact, [item["box"]] if "box" in item else outlines(item)), "voc: exact numbers")
            x0, y0, x1, y1 = bounds(item)
            low = [int(element.findtext(f"bndbox/{k}")) for k in ("xmin", "ymin")]
            high = [int(element.findtext(f"bndbox/{k}")) for k in ("xmax", "ymax")]
            check(all(0 <= a - (n - 1) < 1 for n, a in zip(low, (x0, y0))), "voc: first pixels")
            check(all(0 <= n - a < 1 for n, a in zip(high, (x1, y1))), "voc: last pixels")
            polygons = [[int(number.text) for number in part] for part in element.findall("polygon")]
            pixels = [[min(int(number) + 1, side) for number, side in zip(part, itertools.cycle((200, 120)))]
                      for part in outlines(item)]
            check(polygons == ([] if "box" in item else pixels), f"voc: polygons {polygons}")
            check(close(float(element.findtext("score")), item["score"]), "voc: score")
            check(element.findtext("text") == (item["label"] if "quad" in item else None), "voc: text")
        check([caption.text for caption in root.findall("caption")] == picture["texts"], "voc: captions")


def read_labelme(folder, answers):
    for name, picture in answers:
        path = folder / "labelme" / (pathlib.Path(name).stem + ".json")
        data = json.loads(path.read_text())
        check((path.parent / data["imagePath"]).resolve() == pathlib.Path(name).resolve(), "labelme: path")
        check((data["imageWidth"], data["imageHeight"], data["imageData"]) == (200, 120, None), "labelme: picture")
        parts = [(item, outline) for item in picture["items"] for outline in outlines(item)]
        check(len(data["shapes"]) == len(parts), "labelme: number of shapes")
        for shape, (item, outline) in zip(data["shapes"], parts):
            check(shape["label"] == class_of(item), f"labelme: label {shape['label']!r}")
            check(shape["shape_type"] == ("rectangle" if "box" in item else "polygon"), "labelme: type")
            points = [number for point in shape["points"] for number in point]
            check(close(points, item["box"] if "box" in item else outline), "labelme: points")
            check((shape["group_id"] is not None) == (len(outlines(item)) > 1), "labelme: group")
            check(shape["description"] == (item["label"] if "quad" in item else ""), "labelme: description")
            check(close(shape["score"], item["score"]), "labelme: score")
        check([c["text"] for c in data.get("captions", [])] == picture["texts"], "labelme: captions")


def read_svg(folder, answers):
    for name, picture in answers:
        root = ElementTree.parse(folder / "svg" / (pathlib.Path(name).stem + ".svg")).getroot()
        groups = root.findall(f"{SVG}g")
        check(len(groups) == len(picture["items"]), "svg: number of things")
        for group, item in zip(groups, picture["items"]):
            check(group.get("data-label") == item["label"], f"svg: label {group.get('data-label')!r}")
            check(close(float(group.get("data-score")), item["score"]), "svg: score")
            if "box" in item:
                x, y, width, height = (float(group.find(f"{SVG}rect").get(k)) for k in ("x", "y", "width", "height"))
                check(close([x, y, x + width, y + height], item["box"], 1e-5), "svg: box")
            else:
                element = group.find(f"{SVG}polygon") if "quad" in item else group.find(f"{SVG}path")
                parts = (element.get("points") or element.get("d")).replace("M", "").split("Z")
                numbers = [[float(n) for n in part.replace(",", " ").split()] for part in parts if part.strip()]
                check(close(numbers, outlines(item)), "svg: outline")
        href = root.find(f"{SVG}image").get("href")
        check(href == "../images/" + pathlib.Path(name).name.replace(" ", "%20"), f"svg: href {href}")
    drawn = list(folder.glob("drawn-*.svg"))
    check(len(drawn) == 7, f"svg: {len(drawn)} drawn answers")
    for path in drawn:
        image = ElementTree.parse(path).getroot().find(f"{SVG}image")
        check(image.get("href").startswith("data:image/jpeg;base64,/9j/"), "svg: picture inside")


def read_text_files(folder, answers):
    expected = {
        "picture 1": 'cat, red, "big" <dog> & café\n\nHELLO 世界\nA cat, "two" dogs\nand a café.\n',
        "picture 2": "\nNothing.\n",
        "picture 3": "cat\n",
    }
    for name, text in expected.items():
        check((folder / "txt" / f"{name}.txt").read_text() == text, f"txt: {name}")


def yolo_outlines(rows):
    """The outline of each line by the rule of ultralytics: one line of more than six columns makes outlines of all."""
    numbers = [[float(share) for share in row[1:]] for row in rows]
    if any(len(row) > 6 for row in rows):
        return numbers
    return [[x - w / 2, y - h / 2, x + w / 2, y - h / 2, x + w / 2, y + h / 2, x - w / 2, y + h / 2]
            for x, y, w, h in numbers]


def read_yolo(folder, answers):
    names = [json.loads(line.split(": ", 1)[1]) for line in (folder / "yolo/data.yaml").read_text().splitlines()
             if line.startswith("  ")]
    for name, picture in answers:
        stem = pathlib.Path(name).stem
        rows = [line.split() for line in (folder / "yolo/labels" / f"{stem}.txt").read_text().splitlines()]
        scores = [float(line) for line in (folder / "yolo/scores" / f"{stem}.txt").read_text().splitlines()]
        check(len(rows) == len(picture["items"]), "yolo: number of lines")
        if all("box" in item for item in picture["items"]):
            check(all(len(row) == 5 for row in rows), "yolo: boxes as boxes")
        check(close(scores, [item["score"] for item in picture["items"]]), "yolo: scores")
        for row, outline, item in zip(rows, yolo_outlines(rows), picture["items"]):
            check(names[int(row[0])] == class_of(item), "yolo: class")
            check(all(0 <= float(share) <= 1 for share in row[1:]), "yolo: shares")
            points = {(round(x * 200, 3), round(y * 120, 3)) for x, y in zip(outline[0::2], outline[1::2])}
            expected = {(round(x, 3), round(y, 3)) for o in outlines(item) for x, y in zip(o[0::2], o[1::2])}
            check(points == expected, f"yolo: outline of {class_of(item)}")


def png_rows(path):
    """Rows of bytes of an 8-bit PNG file with one byte a pixel."""
    data, offset, packed = path.read_bytes(), 8, b""
    while offset < len(data):
        length, kind = int.from_bytes(data[offset:offset + 4], "big"), data[offset + 4:offset + 8]
        body = data[offset + 8:offset + 8 + length]
        if kind == b"IHDR":
            width, height = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
            check(body[8] == 8 and body[9] in (0, 3), f"{path.name}: one byte a pixel")
        packed += body if kind == b"IDAT" else b""
        offset += 12 + length
    raw, rows, before = zlib.decompress(packed), [], bytes(width)
    for y in range(height):
        line = bytearray(raw[y * (width + 1):(y + 1) * (width + 1)])
        kind, row = line[0], line[1:]
        for x in range(width):
            left, up, corner = (row[x - 1] if x else 0), before[x], (before[x - 1] if x else 0)
            guess = left + up - corner
            paeth = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
            row[x] = (row[x] + (0, left, up, (left + up) // 2, paeth)[kind]) & 255
        rows.append(row)
        before = row
    return rows


def read_masks(folder, answers):
    for name, picture in answers:
        stem = pathlib.Path(name).stem
        map_rows = png_rows(folder / "masks" / f"{stem}-map.png")
        legend = json.loads((folder / "masks" / f"{stem}-map.json").read_text())
        check([entry["label"] for entry in legend] == [item["label"] for item in picture["items"]], "masks: legend")
        expected = [bytearray(200) for _ in range(120)]
        for entry, item in zip(legend, picture["items"]):
            rows = png_rows(folder / "masks" / entry["mask"])
            area = sum(sum(1 for value in row if value) for row in rows)
            exact = sum(abs(sum(o[i] * o[(i + 3) % len(o)] - o[(i + 2) % len(o)] * o[i + 1]
                                for i in range(0, len(o), 2))) / 2 for o in outlines(item))
            check(abs(area - exact) <= 2 * 120 + 0.01 * exact, f"masks: area {area}, expected {exact}")
            for y in range(120):
                for x in range(200):
                    expected[y][x] = entry["value"] if rows[y][x] else expected[y][x]
        check(map_rows == expected, "masks: map")
    crops = sorted(path.name for path in (folder / "crops").iterdir())
    check(crops == ["picture 1-1-cat.png", "picture 1-2-red___big___dog____café.png", "picture 1-3-cat.png",
                    "picture 1-4.png", "picture 1-5-HELLO_世界.png", "picture 3-1-cat.png"], f"crops: {crops}")


def standard(folder, answers):
    for read in (read_csv, read_voc, read_labelme, read_svg, read_text_files, read_yolo, read_masks):
        read(folder, answers)


# --- pycocotools --------------------------------------------------------------------------------------------------


def pycocotools(folder, answers):
    from pycocotools.coco import COCO

    coco = COCO(str(folder / "coco/instances.json"))
    captions = COCO(str(folder / "coco/captions.json"))
    results = coco.loadRes(str(folder / "coco/results.json"))
    names = {number: category["name"] for number, category in coco.cats.items()}
    check(list(names.values()) == sorted(names.values()), "coco: categories by name")
    for image in coco.imgs.values():
        picture = next(p for name, p in answers if pathlib.Path(name).name == image["file_name"])
        check((image["width"], image["height"]) == (200, 120), "coco: size")
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        found = results.loadAnns(results.getAnnIds(imgIds=image["id"]))
        check(len(annotations) == len(found) == len(picture["items"]), "coco: number of annotations")
        for annotation, result, item in zip(annotations, found, picture["items"]):
            x, y, width, height = annotation["bbox"]
            check(close([x, y, x + width, y + height], bounds(item)), "coco: bbox")
            check(names[annotation["category_id"]] == class_of(item), "coco: category")
            check(close(annotation["score"], item["score"]) and close(result["score"], item["score"]), "coco: score")
            check(annotation.get("utf8_string") == (item["label"] if "quad" in item else None), "coco: text")
            if "box" not in item:
                check(close(annotation["segmentation"], outlines(item)), "coco: segmentation")
                area = coco.annToMask(annotation).sum()
                check(abs(area - annotation["area"]) < 0.1 * annotation["area"] + 10, f"coco: mask of {area} pixels")
        texts = [c["caption"] for c in captions.loadAnns(captions.getAnnIds(imgIds=image["id"]))]
        check(texts == picture["texts"], "coco: captions")


# --- supervision --------------------------------------------------------------------------------------------------


def compare_dataset(dataset, answers, kind, tolerance):
    for path, _, detections in dataset:
        picture = next(p for name, p in answers if pathlib.Path(name).name == pathlib.Path(path).name)
        found = sorted((dataset.classes[c], *box) for c, box in zip(detections.class_id, detections.xyxy.tolist()))
        expected = sorted((class_of(item), *bounds(item)) for item in picture["items"])
        check([f[0] for f in found] == [e[0] for e in expected], f"{kind}: classes {[f[0] for f in found]}")
        for one, other in zip(found, expected):
            error = max(abs(a - b) for a, b in zip(one[1:], other[1:]))
            check(error <= tolerance, f"{kind}: box off by {error} pixels")


def supervision(folder, answers):
    warnings.simplefilter("ignore")
    import supervision as sv

    images = str(folder / "images")
    # It rounds boxes of outlines to pixels; VOC has whole pixels only.
    coco = sv.DetectionDataset.from_coco(images, str(folder / "coco/instances.json"))
    compare_dataset(coco, answers, "coco", 1e-3)
    yolo = sv.DetectionDataset.from_yolo(images, str(folder / "yolo/labels"), str(folder / "yolo/data.yaml"))
    compare_dataset(yolo, answers, "yolo", 1)
    voc = sv.DetectionDataset.from_pascal_voc(images, str(folder / "voc"))
    compare_dataset(voc, answers, "voc", 1)


def main():
    folder, reader = pathlib.Path(sys.argv[1]), sys.argv[2]
    if reader != "standard":
        try:
            __import__(reader)
        except ImportError:
            print(f"skipped: {reader} is not installed")
            sys.exit(4)
    answers = Answers(folder)
    check(sum(len(picture["items"]) for _, picture in answers) == 6, "the JSON lines hold six things")
    globals()[reader](folder, answers)
    print("read back, nothing lost")


main()
