// What the sources of the C API (model/florence2.h) share: the handles and the wall between C and C++.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/florence2.h"
#include "model/florence2.hpp"
#include "model/guarded.hpp"

struct fl2_tasks {
  std::vector<florence2::CustomTask> tasks;
};
struct fl2_picture {
  florence2::Picture picture;
};
struct fl2_model {
  florence2::Model model;
};
struct fl2_runner {
  florence2::Runner runner;
};
struct fl2_image {
  florence2::EncodedImage image;
};

/// A result with its items as flat arrays.
struct fl2_result {
  struct Item {
    fl2_shape shape = FL2_SHAPE_BOX;
    std::vector<float> xy;
    std::vector<int> polygon_points;
  };

  explicit fl2_result(florence2::TaskResult answered);

  florence2::TaskResult result;
  std::vector<Item> items;
  std::vector<florence2::TextLine> lines;
  std::vector<const char*> absent_classes;
};

struct fl2_batch {
  struct Answer {
    fl2_status status = FL2_OK;
    std::string error;
    std::unique_ptr<fl2_result> result;
  };
  std::vector<Answer> answers;
};

namespace florence2::c_api {

/// Makes `error` the thread's last error and gives its status.
fl2_status fail(const Error& error) noexcept;
fl2_status status_of(ErrorCode code);

/// Runs `body`, which returns a Status, as a C function does.
template <typename Body>
fl2_status call(const Body& body) noexcept {
  const Status status = guarded(body);
  return status ? FL2_OK : fail(status.error());
}

inline Error argument_error(std::string message) { return {ErrorCode::argument, std::move(message), ""}; }

/// Error argument when the pointer `name` is null.
inline Status require(const void* pointer, const char* name) {
  if (pointer != nullptr) return {};
  return argument_error(std::string(name) + " is NULL");
}

/// Error argument when the number `name` is negative.
inline Status require_count(int count, const char* name) {
  if (count >= 0) return {};
  return argument_error(std::string(name) + " must not be negative, found " + std::to_string(count));
}

inline std::string text_or_empty(const char* text) { return text == nullptr ? "" : text; }

/// The enumerator with this number, which must be in 0…count - 1.
template <typename Enum>
Result<Enum> enumerator(int number, int count, const char* name) {
  if (number >= 0 && number < count) return static_cast<Enum>(number);
  return argument_error(std::string(name) + " must be 0…" + std::to_string(count - 1) + ", not " +
                        std::to_string(number));
}

/// A caller's struct, which may be shorter than ours (an older header); what it lacks is taken from `defaults`.
template <typename Struct>
Result<Struct> read_struct(const Struct* given, Struct defaults, const char* name) {
  if (given == nullptr) return defaults;
  if (given->size < sizeof(std::size_t) || given->size > sizeof(Struct)) {
    return argument_error(std::string(name) + " has size " + std::to_string(given->size) + ", this library knows " +
                          std::to_string(sizeof(Struct)));
  }
  std::memcpy(&defaults, given, given->size);
  return defaults;
}

/// The struct at `index` of an array whose elements have the size that the first one states.
template <typename Struct>
const Struct* element(const Struct* first, std::size_t index) {
  return reinterpret_cast<const Struct*>(reinterpret_cast<const char*>(first) + index * first->size);
}

/// Writes as much of `values` as the caller's struct holds; its size stays.
template <typename Struct>
Status write_struct(Struct values, Struct* out, const char* name) {
  FL_TRY(require(out, name));
  if (out->size < sizeof(std::size_t)) {
    return argument_error(std::string(name) + " has size " + std::to_string(out->size) + ": set it to its sizeof");
  }
  values.size = out->size;
  std::memcpy(out, &values, std::min(out->size, sizeof(Struct)));
  return {};
}

/// Writes as much of `defaults` as a caller's struct of `size` bytes holds.
template <typename Options>
void write_defaults(Options defaults, Options* options, std::size_t size) {
  if (options == nullptr) return;
  defaults.size = size;
  std::memcpy(options, &defaults, std::min(size, sizeof(Options)));
}

/// Moves `value` into a new handle at `*out`.
template <typename Handle, typename Value>
void give(Handle** out, Value&& value) {
  *out = new Handle{std::forward<Value>(value)};
}

}  // namespace florence2::c_api
