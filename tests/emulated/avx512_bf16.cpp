// The table of kernels/isa/avx512_bf16.cpp on a machine without it, as avx512.cpp beside this file.
#include <immintrin.h>

#define avx512_bf16 avx512_bf16_emulated
#include "kernels/isa/avx512_bf16.cpp"
