#include "tests/support.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

namespace florence2::test {

std::string source_dir() { return FLORENCE2_SOURCE_DIR; }

std::optional<std::string> reference_dir() {
  const char* named = std::getenv("FLORENCE2_REFERENCE");
  const std::string path = named != nullptr ? named : source_dir() + "/../shared/reference";
  if (std::filesystem::is_directory(path)) return path;
  return std::nullopt;
}

json::Value load_json(const std::string& path) {
  auto value = json::parse_file(path, std::int64_t{1} << 30, {.depth = 64, .values = 100'000'000});
  INFO(path << ": " << (value ? "" : value.error().text()));
  REQUIRE(value);
  return std::move(value).value();
}

const json::Value& at(const json::Value& value, const std::string& key) {
  const json::Value* member = value.find(key);
  INFO("member " << key);
  REQUIRE(member != nullptr);
  return *member;
}

std::string text_of(const json::Value& value) {
  REQUIRE(value.string() != nullptr);
  return *value.string();
}

std::int64_t int_of(const json::Value& value) {
  REQUIRE(value.integer() != nullptr);
  return *value.integer();
}

double number_of(const json::Value& value) {
  double number = 0;
  REQUIRE(value.number(number));
  return number;
}

std::vector<std::int32_t> ids_of(const json::Value& value) {
  REQUIRE(value.array() != nullptr);
  std::vector<std::int32_t> ids;
  for (const json::Value& id : *value.array()) ids.push_back(static_cast<std::int32_t>(int_of(id)));
  return ids;
}

std::uint64_t Random::bits() {
  state_ += 0x9E3779B97F4A7C15u;
  std::uint64_t x = state_;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

float Random::uniform() { return static_cast<float>(bits() >> 40) * 0x1p-23f - 1.0f; }

std::vector<float> Random::floats(std::int64_t n) {
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& value : values) value = uniform();
  return values;
}

}  // namespace florence2::test
