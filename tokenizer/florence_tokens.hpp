// The 1,024 tokens that Florence-2 adds to BART's vocabulary.
#pragma once

#include <string>
#include <vector>

namespace florence2 {

/// In the order in which the reference's processor adds them; ids follow it.
std::vector<std::string> florence_tokens();

/// "<loc_12>".
std::string location_token(int bin);

}  // namespace florence2
