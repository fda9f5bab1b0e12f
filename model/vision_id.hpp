// A number for the weights that encode pictures.
#pragma once

#include <cstdint>

#include "model/davit.hpp"
#include "model/projector.hpp"

namespace florence2 {

/// The same for every form of a checkpoint, its layout, type and precision, and, but for chance, for no other: a hash
/// of what every form keeps in f32 (norms, biases, depthwise convolutions, positions) and of `adapted`, what adapters
/// changed (WeightReader::changes_of_vision).
std::uint32_t vision_id(const DavitWeights& vision, const ProjectorWeights& projector, std::uint64_t adapted);

}  // namespace florence2
