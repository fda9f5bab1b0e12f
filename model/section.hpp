// Section: one object of a configuration file, read member by member into plain fields, every value ranged.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>

#include "core/json.hpp"
#include "core/result.hpp"

namespace florence2 {

struct Range {
  int low, high;
};

/// The first failure is kept in `status`, which the sections of a file share; later ones are not. Members that are
/// absent or null leave the caller's value as it was. Refers to the object and the status.
class Section {
 public:
  /// `name` is what messages call the object: "text_config"; empty for the file itself.
  Section(const json::Value& object, std::string_view name, Status& status);
  /// The member `key` as a section; an empty one when it is absent.
  Section section(std::string_view key) const;

  bool has(std::string_view key) const { return find(key) != nullptr; }
  /// True for a string member with this text.
  bool is(std::string_view key, std::string_view text) const;
  void require(std::initializer_list<std::string_view> keys);
  /// Refuses a value whose JSON text is none of those that are implemented.
  void only(std::string_view key, std::initializer_list<std::string_view> implemented);

  void integer(std::string_view key, int& value, Range range);
  /// A whole number that may be written as 4.0.
  void whole(std::string_view key, int& value, Range range);
  void real(std::string_view key, double low, double high, float& value);
  /// A token id below `vocabulary`; null, but not absence, means none (-1).
  void optional_token(std::string_view key, int& value, int vocabulary);

  // Lists of exactly N entries.
  template <std::size_t n>
  void integers(std::string_view key, std::array<int, n>& values, Range range) {
    each(key, n, [&](std::size_t i, const json::Value& entry, const std::string& name) {
      set_integer(name, entry, values[i], range);
    });
  }
  template <std::size_t n>
  void booleans(std::string_view key, std::array<bool, n>& values) {
    each(key, n, [&](std::size_t i, const json::Value& entry, const std::string& name) {
      set_boolean(name, entry, values[i]);
    });
  }
  template <std::size_t n>
  void reals(std::string_view key, double low, double high, std::array<float, n>& values) {
    each(key, n, [&](std::size_t i, const json::Value& entry, const std::string& name) {
      set_real(name, entry, low, high, values[i]);
    });
  }

  void fail(std::string message);
  /// "…, expected <what>" about a member that exists.
  void unexpected(std::string_view key, std::string_view what);
  /// The member, or nullptr when it is absent or null.
  const json::Value* find(std::string_view key) const;

 private:
  std::string full_name(std::string_view key) const { return prefix_ + std::string(key); }
  const json::Array* list(std::string_view key, std::size_t n);
  template <typename Set>
  void each(std::string_view key, std::size_t n, const Set& set) {
    const json::Array* entries = list(key, n);
    for (std::size_t i = 0; entries != nullptr && i < n; ++i) {
      set(i, (*entries)[i], full_name(key) + "[" + std::to_string(i) + "]");
    }
  }
  void set_integer(const std::string& name, const json::Value& value, int& dst, Range range);
  void set_boolean(const std::string& name, const json::Value& value, bool& dst);
  void set_real(const std::string& name, const json::Value& value, double low, double high, float& dst);

  const json::Value* object_;
  std::string prefix_;
  Status* status_;
};

}  // namespace florence2
