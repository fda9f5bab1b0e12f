// The emulated table under the name of the real one, which a program that links this file leaves out of the library: it
// runs the instructions of AMX on any CPU with AVX2.
#include "kernels/isa.hpp"
#include "tests/emulated/amx.cpp"
#undef amx

namespace florence2::amx {

extern const KernelTable table;
const KernelTable table = [] {
  KernelTable emulated = amx_emulated::table;
  emulated.features = cpu_feature::kAvx2;
  return emulated;
}();

}  // namespace florence2::amx
