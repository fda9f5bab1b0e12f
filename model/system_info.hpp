// What this machine offers and what this binary makes of it.
#pragma once

#include <string>
#include <vector>

namespace florence2 {

struct SystemInfo {
  std::string cpu;                     ///< the name the system gives it, or "unknown CPU"
  std::vector<std::string> features;   ///< of those that some kernel table needs: "avx2", …
  std::vector<std::string> built;      ///< instruction sets in this binary, slowest first
  std::vector<std::string> available;  ///< those of them that this CPU runs
  std::string active;                  ///< the one in use; empty when $FLORENCE2_ISA names one that cannot be used
  std::string active_error;            ///< then: why
  int threads = 1;                     ///< default number of threads
};

SystemInfo system_info();

}  // namespace florence2
