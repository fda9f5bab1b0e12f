// What the shapes of a checkpoint's tensors say about its sizes.
#pragma once

#include <string>

#include "core/result.hpp"
#include "model/config.hpp"
#include "weights/weight_reader.hpp"

namespace florence2 {

/// Name of the token embedding without ".weight". Files normally hold it once, as `shared`; copies made with other
/// tools may have it under one of its aliases alone.
std::string token_embedding_name(const WeightReader& reader);

/// Corrects vocabulary and positions to what the file has: copies of one model differ in both. Error model: another
/// width, or a special token beyond the vocabulary.
Status adopt_sizes(const WeightReader& reader, TextConfig& text);

}  // namespace florence2
