// The table of kernels/isa/avx2_vnni.cpp on a machine without it, as avx512.cpp beside this file.
#include <immintrin.h>

#define avx2_vnni avx2_vnni_emulated
#include "kernels/isa/avx2_vnni.cpp"
