// From 8-bit RGB to the tensor the vision tower takes.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "model/config.hpp"
#include "model/florence2.hpp"

namespace florence2 {

/// Pillow's BICUBIC resize of 8-bit RGB with antialiasing, bit for bit: horizontal pass first, 8-bit values between the
/// passes, 22-bit fixed-point weights, a = -0.5. Returns [height][width][3]. Source and target sides must be >= 1.
std::vector<std::uint8_t> resize_bicubic(const ImageView& source, int width, int height);

/// ((value / 255 in f64, rounded to f32) - mean) / std in f32, for 3 x 256 values: table[channel][value].
std::array<std::array<float, 256>, 3> normalization_table(const ImageConfig& config);

/// Resizes to side x side (aspect ratio not kept) and normalises: dst[side * side][3], channels last.
void preprocess(float* dst, const ImageView& source, const ImageConfig& config);

}  // namespace florence2
