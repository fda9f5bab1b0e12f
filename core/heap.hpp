// The C library's heap as a whole.
#pragma once

namespace florence2 {

/// Gives memory that was freed back to the system, from the middle of the heap too, where the C library can. For the
/// end of work that took much for a short time; takes about a millisecond.
void release_freed_memory() noexcept;

}  // namespace florence2
