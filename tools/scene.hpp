// What an annotated picture shows, in pixels of the picture: outlines, label plates, a text below. draw.hpp paints it,
// svg.hpp writes it down.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/florence2.hpp"
#include "tools/canvas.hpp"

namespace florence2 {

/// A thing.
struct Mark {
  Item item;
  Polygons outlines;
  Color color;
  bool filled = false;
};

/// A label beside its thing.
struct Plate {
  Box box;
  std::string text;
  Color color, text_color;
};

struct Scene {
  int width = 0, height = 0;  ///< of the picture
  float text_height = 0;      ///< distance between lines of text
  float line = 0;             ///< thickness of outlines
  std::vector<Mark> marks = {};
  std::vector<Plate> plates = {};
  std::vector<std::string> strip = {};  ///< lines below the picture
};

struct SceneOptions {
  std::optional<Box> region = {};  ///< the part of the picture that was asked about; outlined as well
  float text_height = 0;           ///< 0: what suits the picture
};

Scene make_scene(int width, int height, const Answer& answer, const SceneOptions& options = {});

/// Height of text that is legible on a picture shown at this size.
float suitable_text_height(int width, int height);

/// Height of the strip, and the margin around its text.
float strip_height(const Scene& scene);
float strip_margin(const Scene& scene);

}  // namespace florence2
