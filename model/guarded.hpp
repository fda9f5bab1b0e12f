// The wall between the library and its callers: exceptions become errors.
#pragma once

#include <exception>
#include <new>
#include <string>

#include "core/result.hpp"

namespace florence2 {

/// Takes no memory: the text is short enough for a string's own buffer.
inline Error out_of_memory() noexcept { return {ErrorCode::memory, "out of memory", ""}; }

/// An exception that nobody expects; out_of_memory() when there is none to say so.
inline Error unexpected(const char* what) noexcept {
  try {
    return {ErrorCode::internal, std::string("unexpected exception: ") + what, ""};
  } catch (...) {
    return out_of_memory();
  }
}

/// Runs `body`, which returns a Result, and turns what it throws into an error: memory or internal.
template <typename Body>
auto guarded(const Body& body) noexcept -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  } catch (const std::exception& exception) {
    return unexpected(exception.what());
  } catch (...) {
    return unexpected("not a std::exception");
  }
}

}  // namespace florence2
