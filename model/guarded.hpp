// The wall between the library and its callers: exceptions become errors.
#pragma once

#include <exception>
#include <new>
#include <string>

#include "core/result.hpp"

namespace florence2 {

/// Runs `body`, which returns a Result, and turns what it throws into an error: memory or internal.
template <typename Body>
auto guarded(const Body& body) noexcept -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::memory, "out of memory", ""};
  } catch (const std::exception& exception) {
    return Error{ErrorCode::internal, std::string("unexpected exception: ") + exception.what(), ""};
  } catch (...) {
    return Error{ErrorCode::internal, "unexpected exception", ""};
  }
}

}  // namespace florence2
