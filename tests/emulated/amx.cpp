// The table of kernels/isa/amx.cpp on a machine without it, as avx512.cpp beside this file.
#include <immintrin.h>

#define amx amx_emulated
#include "kernels/isa/amx.cpp"
