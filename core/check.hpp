// Checks of our own mistakes. Bad data never ends here: it becomes an Error (core/result.hpp).
#pragma once

#include <cassert>

/// Debug-only precondition inside the library.
#define FL_DCHECK(condition) assert(condition)
