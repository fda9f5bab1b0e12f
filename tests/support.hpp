// What all tests share: where the data is, JSON files, random numbers, and comparisons that print what matters.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json.hpp"

namespace florence2::test {

/// The repository's own folder.
std::string source_dir();

/// The reference data: $FLORENCE2_REFERENCE, else ../shared/reference beside the repository; empty when absent (a test
/// that needs it then says so with WARN and returns).
std::optional<std::string> reference_dir();

/// Parses a JSON file that must exist; fails the test otherwise.
json::Value load_json(const std::string& path);

/// Members that must be there; fail the test otherwise.
const json::Value& at(const json::Value& value, const std::string& key);
std::string text_of(const json::Value& value);
std::int64_t int_of(const json::Value& value);
double number_of(const json::Value& value);
std::vector<std::int32_t> ids_of(const json::Value& value);

/// Uniform in [-1, 1), from a small seeded generator that gives the same numbers everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 2 + 1) {}
  float uniform();
  std::uint64_t bits();
  std::vector<float> floats(std::int64_t n);

 private:
  std::uint64_t state_;
};

}  // namespace florence2::test
