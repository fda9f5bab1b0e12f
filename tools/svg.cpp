#include "tools/svg.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "tools/base64.hpp"
#include "tools/draw.hpp"
#include "tools/markup.hpp"
#include "tools/picture_file.hpp"
#include "tools/shapes.hpp"

namespace florence2 {
namespace {

std::string attribute(std::string_view name, std::string_view value) {
  return " " + std::string(name) + "=\"" + escape_markup(value) + "\"";
}
std::string attribute(std::string_view name, float value) { return attribute(name, number_text(value)); }

std::string hex(Color color) {
  char text[8];
  std::snprintf(text, sizeof(text), "#%02x%02x%02x", color.r, color.g, color.b);
  return text;
}

std::string points(const std::vector<Point>& outline) {
  std::string text;
  for (const Point& point : outline) {
    text += (text.empty() ? "" : " ") + number_text(point.x) + "," + number_text(point.y);
  }
  return text;
}

std::string path_data(const Polygons& parts) {
  std::string text;
  for (const auto& part : parts) {
    if (!part.empty()) text += (text.empty() ? "M" : " M") + points(part) + " Z";
  }
  return text;
}

/// The geometry of a thing, without the end of its tag.
std::string shape(const Mark& mark) {
  if (const Box* box = std::get_if<Box>(&mark.item.shape)) {
    return "<rect" + attribute("x", box->x0) + attribute("y", box->y0) + attribute("width", box->x1 - box->x0) +
           attribute("height", box->y1 - box->y0);
  }
  if (std::holds_alternative<Quad>(mark.item.shape)) return "<polygon" + attribute("points", points(mark.outlines[0]));
  return "<path" + attribute("d", path_data(mark.outlines));
}

std::string thing(const Mark& mark, float line) {
  std::string text = "<g" + attribute("data-label", mark.item.label);
  if (mark.item.score > 0) text += attribute("data-score", mark.item.score);
  text += "><title>" + escape_markup(mark.item.label) + "</title>";
  text += shape(mark) + attribute("fill", mark.filled ? hex(mark.color) : "none") + " fill-opacity=\"0.4\"" +
          " stroke=\"#000\" stroke-opacity=\"0.45\"" + attribute("stroke-width", line * 2) + "/>";
  text +=
      shape(mark) + " fill=\"none\"" + attribute("stroke", hex(mark.color)) + attribute("stroke-width", line) + "/>";
  return text + "</g>\n";
}

/// `length` keeps the text inside its plate, whatever font there is.
std::string text_line(std::string_view text, Point base, float length, Color color) {
  return "<text xml:space=\"preserve\"" + attribute("x", base.x) + attribute("y", base.y) +
         (length > 0 ? attribute("textLength", length) + " lengthAdjust=\"spacingAndGlyphs\"" : std::string()) +
         attribute("fill", hex(color)) + ">" + escape_markup(text) + "</text>\n";
}

std::string plate(const Plate& plate, float text_height) {
  const float width = plate.box.x1 - plate.box.x0, padding = text_height / 5;
  std::string text = "<rect" + attribute("x", plate.box.x0) + attribute("y", plate.box.y0) + attribute("width", width) +
                     attribute("height", plate.box.y1 - plate.box.y0) + attribute("fill", hex(plate.color)) +
                     " stroke=\"#000\" stroke-opacity=\"0.45\"" + attribute("stroke-width", text_height / 16) + "/>";
  const Point base = {plate.box.x0 + padding, plate.box.y1 - 0.22f * text_height};
  return text + text_line(plate.text, base, std::max(0.0f, width - 2 * padding), plate.text_color);
}

std::string strip(const Scene& scene) {
  if (scene.strip.empty()) return {};
  const float top = static_cast<float>(scene.height);
  std::string text = "<rect x=\"0\"" + attribute("y", top) + attribute("width", static_cast<float>(scene.width)) +
                     attribute("height", strip_height(scene)) + " fill=\"#fff\"/>\n";
  float y = top + strip_margin(scene) + 0.78f * scene.text_height;
  for (const std::string& line : scene.strip) {
    text += text_line(line, {strip_margin(scene), y}, 0, {32, 32, 32});
    y += scene.text_height;
  }
  return text;
}

}  // namespace

std::string svg_document(const Scene& scene, const std::string& href) {
  const float width = static_cast<float>(scene.width), height = static_cast<float>(scene.height);
  const float scale = static_cast<float>(enlargement(scene.width, scene.height));
  const float total = height + strip_height(scene);
  std::string text = "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\"" +
                     attribute("width", width * scale) + attribute("height", total * scale) +
                     attribute("viewBox", "0 0 " + number_text(width) + " " + number_text(total)) +
                     attribute("font-size", scene.text_height * 0.86f) +
                     " font-family=\"DejaVu Sans, Verdana, sans-serif\" stroke-linejoin=\"round\">\n";
  text += "<image" + attribute("width", width) + attribute("height", height) + attribute("href", href) +
          attribute("xlink:href", href) + "/>\n";
  for (const Mark& mark : scene.marks) text += thing(mark, scene.line);
  for (const Plate& label : scene.plates) text += plate(label, scene.text_height);
  return text + strip(scene) + "</svg>\n";
}

float svg_text_height(int width, int height) {
  const int scale = enlargement(width, height);
  return suitable_text_height(width * scale, height * scale) / static_cast<float>(scale);
}

Result<std::string> data_address(const ImageView& image) {
  FL_ASSIGN(const std::string jpeg, encode_jpeg(image));
  return "data:image/jpeg;base64," + base64(jpeg);
}

}  // namespace florence2
