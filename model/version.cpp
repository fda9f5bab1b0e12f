#include "florence2_commit.hpp"
#include "kernels/isa.hpp"
#include "model/florence2.hpp"

namespace florence2 {
namespace {

std::string compiler() {
#ifdef __clang__
  return "clang " + std::to_string(__clang_major__) + "." + std::to_string(__clang_minor__) + "." +
         std::to_string(__clang_patchlevel__);
#else
  return std::string("g++ ") + __VERSION__;
#endif
}

}  // namespace

std::string version() { return FLORENCE2_VERSION; }

std::string build_description() {
  std::string text = "commit " FLORENCE2_COMMIT ", " + compiler() + ", instruction sets built in:";
  for (const std::string_view name : built_tables()) text.append(" ").append(name);
  const auto active = active_table();
  return text + ", in use: " + (active ? (*active)->name : "none (" + active.error().text() + ")");
}

}  // namespace florence2
