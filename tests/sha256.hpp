// SHA-256 (FIPS 180-4), to compare with the checksums of the reference data.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace florence2::test {

/// The digest in lower-case hexadecimal.
std::string sha256(std::span<const std::byte> bytes);

}  // namespace florence2::test
