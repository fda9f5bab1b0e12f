// The one door for JSON: a bounded, strict parser (over nlohmann-json, which only json.cpp sees), a plain value
// type, and a writer. Stricter than the format where model files have been attacked: depth, duplicate keys,
// byte order marks, NUL in names and trailing bytes are errors (docs/design.md, "JSON").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/result.hpp"

namespace florence2::json {

class Value;
using Array = std::vector<Value>;
using Member = std::pair<std::string, Value>;
/// Members in document order; keys are unique.
using Object = std::vector<Member>;

/// One JSON value. Whole numbers without fraction or exponent that fit int64 are `integer`, all others `real`.
class Value {
 public:
  Value() = default;
  Value(std::nullptr_t) {}
  Value(bool v) : state_(v) {}
  Value(int v) : state_(std::int64_t{v}) {}
  Value(std::int64_t v) : state_(v) {}
  Value(double v) : state_(v) {}
  /// A float is written with the fewest digits that read back as the same float.
  Value(float v) : state_(v) {}
  Value(std::string v) : state_(std::move(v)) {}
  Value(std::string_view v) : state_(std::string(v)) {}
  Value(const char* v) : state_(std::string(v)) {}
  Value(Array v) : state_(std::move(v)) {}
  Value(Object v) : state_(std::move(v)) {}

  bool is_null() const { return std::holds_alternative<std::monostate>(state_); }
  // Each returns nullptr when the value has another type.
  const bool* boolean() const { return std::get_if<bool>(&state_); }
  const std::int64_t* integer() const { return std::get_if<std::int64_t>(&state_); }
  const std::string* string() const { return std::get_if<std::string>(&state_); }
  const Array* array() const { return std::get_if<Array>(&state_); }
  const Object* object() const { return std::get_if<Object>(&state_); }
  Array* array() { return std::get_if<Array>(&state_); }
  Object* object() { return std::get_if<Object>(&state_); }
  /// True and sets `out` for any number.
  bool number(double& out) const;

  /// The member `key` of an object, or nullptr (also when this is not an object). Linear in the members.
  const Value* find(std::string_view key) const;

  /// "null", "a boolean", "a number", "a string", "an array", "an object": for messages.
  std::string_view kind() const;

 private:
  friend void write(const Value&, std::string&);
  std::variant<std::monostate, bool, std::int64_t, double, float, std::string, Array, Object> state_;
};

struct Limits {
  int depth = 64;                   ///< arrays and objects inside one another
  std::int64_t values = 4'000'000;  ///< values in the whole document
};

/// Parses one document. Errors have code `data` and a message with the byte offset; the caller sets `where`.
Result<Value> parse(std::string_view text, const Limits& limits = {});

/// Reads (at most `max_bytes`) and parses a file; errors carry the path in `where`. Code `not_found`, `permission`,
/// `io` or, for what is inside, `model`.
Result<Value> parse_file(const std::string& path, std::int64_t max_bytes, const Limits& limits = {});

/// Compact JSON text; strings are written as UTF-8 with only the necessary escapes; invalid UTF-8 becomes U+FFFD.
/// Non-finite numbers are written as null.
std::string dump(const Value& value);
void write(const Value& value, std::string& out);

}  // namespace florence2::json
