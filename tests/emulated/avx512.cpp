// The table of kernels/isa/avx512.cpp on a machine without AVX-512: the same source over the emulated <immintrin.h>
// beside this file, with a namespace of its own so that both can be linked.
#include <immintrin.h>

#define avx512 avx512_emulated
#include "kernels/isa/avx512.cpp"
