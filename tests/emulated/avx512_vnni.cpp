// The table of kernels/isa/avx512_vnni.cpp on a machine without it, as avx512.cpp beside this file.
#include <immintrin.h>

#define avx512_vnni avx512_vnni_emulated
#include "kernels/isa/avx512_vnni.cpp"
