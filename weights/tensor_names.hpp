// The two ways in which checkpoints name their tensors.
#pragma once

#include <string>
#include <string_view>

namespace florence2 {

/// Microsoft's name of a tensor with Hugging Face's name `hf_name` (specification, section 6.2).
std::string ms_name(std::string_view hf_name);

/// Of the vision tower or its projector, which encode pictures. `hf_name` may lack ".weight".
bool is_of_vision(std::string_view hf_name);

}  // namespace florence2
