#include "model/section.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace florence2 {
namespace {

/// The value's JSON text, shortened: messages stay one readable line.
std::string shown(const json::Value& value) {
  constexpr std::size_t kMost = 80;
  std::string text = json::dump(value);
  if (text.size() <= kMost) return text;
  std::size_t end = kMost;
  while ((static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not inside a character
  return text.substr(0, end) + "…";
}

}  // namespace

Section::Section(const json::Value& object, std::string_view name, Status& status)
    : object_(&object), prefix_(name.empty() ? "" : std::string(name) + "."), status_(&status) {
  if (object.object() == nullptr) {
    fail((name.empty() ? "" : std::string(name) + ": ") + "expected an object, found " + std::string(object.kind()));
  }
}

Section Section::section(std::string_view key) const {
  static const json::Value kEmpty = json::Object();
  const json::Value* member = find(key);
  return Section(member != nullptr ? *member : kEmpty, full_name(key), *status_);
}

const json::Value* Section::find(std::string_view key) const {
  const json::Value* member = object_->find(key);
  return member == nullptr || member->is_null() ? nullptr : member;
}

bool Section::is(std::string_view key, std::string_view text) const {
  const json::Value* member = find(key);
  return member != nullptr && member->string() != nullptr && *member->string() == text;
}

void Section::require(std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (!has(key)) fail(full_name(key) + " is missing");
  }
}

void Section::only(std::string_view key, std::initializer_list<std::string_view> implemented) {
  const json::Value* member = find(key);
  if (member == nullptr) return;
  const std::string text = json::dump(*member);
  if (std::find(implemented.begin(), implemented.end(), text) == implemented.end()) {
    unexpected(key, *implemented.begin());
  }
}

void Section::integer(std::string_view key, int& value, Range range) {
  if (const json::Value* member = find(key)) set_integer(full_name(key), *member, value, range);
}

void Section::whole(std::string_view key, int& value, Range range) {
  auto number = static_cast<float>(value);
  real(key, range.low, range.high, number);
  if (number != std::floor(number)) unexpected(key, "a whole number");
  value = static_cast<int>(number);
}

void Section::real(std::string_view key, double low, double high, float& value) {
  if (const json::Value* member = find(key)) set_real(full_name(key), *member, low, high, value);
}

void Section::optional_token(std::string_view key, int& value, int vocabulary) {
  const json::Value* member = object_->find(key);
  if (member != nullptr && member->is_null()) value = -1;
  integer(key, value, {0, vocabulary - 1});
}

void Section::fail(std::string message) {
  if (*status_) *status_ = Error{ErrorCode::model, std::move(message), ""};
}

void Section::unexpected(std::string_view key, std::string_view what) {
  fail(full_name(key) + " is " + shown(*object_->find(key)) + ", expected " + std::string(what));
}

const json::Array* Section::list(std::string_view key, std::size_t n) {
  const json::Value* member = find(key);
  if (member == nullptr) return nullptr;
  const json::Array* entries = member->array();
  if (entries == nullptr) {
    unexpected(key, "a list");
    return nullptr;
  }
  if (entries->size() == n) return entries;
  fail(full_name(key) + " has " + std::to_string(entries->size()) + " entries, expected " + std::to_string(n));
  return nullptr;
}

void Section::set_integer(const std::string& name, const json::Value& value, int& dst, Range range) {
  const std::int64_t* number = value.integer();
  if (number == nullptr)
    return fail(name + " is " + shown(value) + ", expected a whole number without fraction or exponent");
  if (*number < range.low || *number > range.high) {
    return fail(name + " = " + std::to_string(*number) + " out of range " + std::to_string(range.low) + "…" +
                std::to_string(range.high));
  }
  dst = static_cast<int>(*number);
}

void Section::set_boolean(const std::string& name, const json::Value& value, bool& dst) {
  if (value.boolean() == nullptr) return fail(name + " is " + shown(value) + ", expected true or false");
  dst = *value.boolean();
}

void Section::set_real(const std::string& name, const json::Value& value, double low, double high, float& dst) {
  double number = 0;
  if (!value.number(number)) return fail(name + " is " + shown(value) + ", expected a number");
  if (number < low || number > high) {
    return fail(name + " = " + shown(value) + " out of range " + json::dump(low) + "…" + json::dump(high));
  }
  dst = static_cast<float>(number);
}

}  // namespace florence2
