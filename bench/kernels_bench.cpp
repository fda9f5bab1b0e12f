// Speed of the kernels, per table, on one thread, at the sizes of the base model. Counters: FLOP/s of products, B/s of
// what must be streamed, elements/s of row kernels. All operands are random: zeros run faster than numbers on some
// CPUs.
#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <vector>

#include "bench/eigen_product.hpp"
#include "kernels/attention.hpp"
#include "kernels/convolution.hpp"
#include "kernels/isa.hpp"
#include "kernels/matmul.hpp"
#include "kernels/rowwise.hpp"

namespace florence2::bench {
namespace {

Buffer<float> random_buffer(std::int64_t n) {
  std::minstd_rand generator(7);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  Buffer<float> buffer(n);
  for (float& v : buffer.span()) v = uniform(generator);
  return buffer;
}

/// f16 numbers in [1, 2) with random signs: any bits do, as long as they are numbers.
Buffer<std::uint16_t> random_halves(std::int64_t n) {
  std::minstd_rand generator(7);
  Buffer<std::uint16_t> buffer(n);
  for (std::uint16_t& v : buffer.span()) v = static_cast<std::uint16_t>(0x3C00u | (generator() & 0x83FFu));
  return buffer;
}

const WeightType kPaired(DType::bf16, true);

Linear random_linear(const KernelTable& table, std::int64_t in, std::int64_t out, WeightType type = DType::f32) {
  Linear linear{PackedMatrix(table, type, out, in), random_buffer(out)};
  if (type.dtype != DType::f16) {
    linear.weight.pack_floats(0, out, random_buffer(out * in).data());
  } else {
    linear.weight.pack_rows(0, out, random_halves(out * in).data());
  }
  return linear;
}

Norm random_norm(std::int64_t c) { return {random_buffer(c), random_buffer(c)}; }

void count_flops(benchmark::State& state, double flops) {
  state.counters["FLOP/s"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
}

void count_bytes(benchmark::State& state, double bytes) {
  state.counters["B/s"] = benchmark::Counter(bytes, benchmark::Counter::kIsIterationInvariantRate);
}

void count_elements(benchmark::State& state, double elements) {
  state.counters["elem/s"] = benchmark::Counter(elements, benchmark::Counter::kIsIterationInvariantRate);
}

// --- products
// ----------------------------------------------------------------------------------------------------------

struct Shape {
  const char* name;
  std::int64_t m, n, k;
};

/// Layers of the model; stages 1 and 2 with fewer rows than they have (36,864 and 9,216), which changes no rate.
constexpr Shape kProducts[] = {
    {"s1.fc1", 2304, 512, 128},   {"s1.fc2", 2304, 128, 512},  {"s2.qkv", 2304, 768, 256},
    {"s3.qkv", 2304, 1536, 512},  {"s3.fc1", 2304, 2048, 512}, {"s3.fc2", 2304, 512, 2048},
    {"s4.fc1", 576, 4096, 1024},  {"s4.fc2", 576, 1024, 4096}, {"encoder.fc1", 587, 3072, 768},
    {"encoder.q", 587, 768, 768}, {"hot", 512, 512, 512},
};

constexpr Shape kFewRows[] = {
    {"lm_head", 1, 51289, 768},
    {"lm_head.3_beams", 3, 51289, 768},
    {"decoder.fc1", 1, 3072, 768},
};

void product(benchmark::State& state, const KernelTable& table, const Shape& s, WeightType type) {
  const Linear linear = random_linear(table, s.k, s.n, type);
  const Buffer<float> a = random_buffer(s.m * s.k);
  Buffer<float> c(s.m * s.n);
  Context context(table, 1);
  for (auto _ : state) {
    matmul(context, {c.data(), s.m, s.n}, {a.data(), s.m, s.k}, linear);
    benchmark::ClobberMemory();
  }
  count_flops(state, 2.0 * static_cast<double>(s.m * s.n * s.k));
  if (s.m <= table.mr) count_bytes(state, static_cast<double>(linear.weight.bytes()));
}

void product_by_eigen(benchmark::State& state, const Shape& s) {
  const Buffer<float> a = random_buffer(s.m * s.k), b = random_buffer(s.k * s.n);
  Buffer<float> c(s.m * s.n);
  for (auto _ : state) {
    eigen_product(c.data(), a.data(), b.data(), s.m, s.n, s.k);
    benchmark::ClobberMemory();
  }
  count_flops(state, 2.0 * static_cast<double>(s.m * s.n * s.k));
}

void packing(benchmark::State& state, const KernelTable& table, DType dtype) {
  const std::int64_t n = 2048, k = 512;
  const Buffer<float> wide = random_buffer(n * k);  // twice as much as f16 needs
  PackedMatrix packed(table, dtype, n, k);
  for (auto _ : state) {
    packed.pack_rows(0, n, wide.data());
    benchmark::ClobberMemory();
  }
  count_bytes(state, static_cast<double>(packed.bytes()));
}

// --- fused blocks of stage 3
// -------------------------------------------------------------------------------------------

constexpr Grid kGrid = {48, 48};
constexpr std::int64_t kChannels = 512;

AttentionWeights random_attention(const KernelTable& table, WeightType type) {
  return {random_norm(kChannels), random_linear(table, kChannels, 3 * kChannels, type),
          random_linear(table, kChannels, kChannels, type), 16};
}

void mlp(benchmark::State& state, const KernelTable& table, WeightType type) {
  const Norm norm = random_norm(kChannels);
  const Linear fc1 = random_linear(table, kChannels, 4 * kChannels, type),
               fc2 = random_linear(table, 4 * kChannels, kChannels, type);
  Buffer<float> x = random_buffer(kGrid.tokens() * kChannels);
  Context context(table, 1);
  for (auto _ : state) mlp_block(context, {x.data(), kGrid.tokens(), kChannels}, norm, fc1, fc2);
  count_flops(state, 2.0 * static_cast<double>(kGrid.tokens() * kChannels * kChannels * 8));
}

void window_block(benchmark::State& state, const KernelTable& table, WeightType type) {
  const AttentionWeights weights = random_attention(table, type);
  Buffer<float> x = random_buffer(kGrid.tokens() * kChannels);
  Context context(table, 1);
  for (auto _ : state) window_attention_block(context, {x.data(), kGrid.tokens(), kChannels}, kGrid, 12, weights);
  count_flops(state, 2.0 * static_cast<double>(kGrid.tokens() * kChannels * (4 * kChannels + 2 * 144)));
}

/// The encoder's attention: 577 image tokens and a prompt of 10, 12 heads of 64.
void encoder_attention(benchmark::State& state, const KernelTable& table, Arithmetic arithmetic) {
  constexpr std::int64_t kTokens = 587, kWidth = 768;
  const Buffer<float> qkv = random_buffer(kTokens * 3 * kWidth);
  Buffer<float> dst(kTokens * kWidth);
  const View<const float> rows(qkv.data(), kTokens, 3 * kWidth);
  Context context(table, 1);
  for (auto _ : state) {
    attention(context, {dst.data(), kTokens, kWidth}, rows.col_range(0, kWidth), rows.col_range(kWidth, kWidth),
              rows.col_range(2 * kWidth, kWidth), 12, 0.125f, arithmetic);
  }
  count_flops(state, 4.0 * static_cast<double>(kTokens * kTokens * kWidth));
}

void channel_block(benchmark::State& state, const KernelTable& table, WeightType type) {
  const AttentionWeights weights = random_attention(table, type);
  Buffer<float> x = random_buffer(kGrid.tokens() * kChannels), values(kGrid.tokens() * kChannels);
  Context context(table, 1);
  for (auto _ : state)
    channel_attention_block(context, {x.data(), kGrid.tokens(), kChannels}, {values.data(), kGrid.tokens(), kChannels},
                            weights);
  count_flops(state, 2.0 * static_cast<double>(kGrid.tokens() * kChannels * (4 * kChannels + 2 * 32)));
}

// --- rows
// --------------------------------------------------------------------------------------------------------------

void gelu(benchmark::State& state, const KernelTable& table) {
  const std::int64_t n = 2048;
  const Buffer<float> x = random_buffer(n);
  Buffer<float> y(n);
  for (auto _ : state) {
    table.gelu(y.data(), x.data(), n);
    benchmark::ClobberMemory();
  }
  count_elements(state, static_cast<double>(n));
}

void softmax(benchmark::State& state, const KernelTable& table, std::int64_t n) {
  const Buffer<float> source = random_buffer(n);
  Buffer<float> x(n);
  for (auto _ : state) {
    std::copy_n(source.data(), n, x.data());
    table.softmax(x.data(), n, 3.0f);
    benchmark::ClobberMemory();
  }
  count_elements(state, static_cast<double>(n));
}

void layer_norm_row(benchmark::State& state, const KernelTable& table, std::int64_t n) {
  const Buffer<float> x = random_buffer(n);
  const Norm norm = random_norm(n);
  Buffer<float> y(n);
  for (auto _ : state) {
    table.layer_norm({y.data(), n, x.data(), n, 1, n, norm.gamma.data(), norm.beta.data(), 1e-5f});
    benchmark::ClobberMemory();
  }
  count_elements(state, static_cast<double>(n));
}

void depthwise(benchmark::State& state, const KernelTable& table, Grid grid, std::int64_t c) {
  const Buffer<float> src = random_buffer(grid.tokens() * c);
  const Depthwise weights = {random_buffer(9 * c), random_buffer(c)};
  Buffer<float> dst(grid.tokens() * c);
  Context context(table, 1);
  for (auto _ : state) {
    depthwise_residual(context, {dst.data(), grid.tokens(), c}, {src.data(), grid.tokens(), c}, grid, weights);
    benchmark::ClobberMemory();
  }
  count_elements(state, static_cast<double>(grid.tokens() * c));
}

template <typename Body>
void add(const std::string& name, const Body& body) {
  benchmark::RegisterBenchmark(name.c_str(), body)->MinTime(0.1);
}

void add_products(const KernelTable& table) {
  const std::string prefix = std::string(table.name) + "/";
  for (const Shape& s : kProducts) {
    add(prefix + "gemm_f32/" + s.name, [&](benchmark::State& state) { product(state, table, s, DType::f32); });
  }
  for (const Shape& s : kProducts) {
    add(prefix + "gemm_s8/" + s.name, [&](benchmark::State& state) { product(state, table, s, DType::s8); });
  }
  for (const Shape& s : kProducts) {
    if (s.k != 512) continue;
    add(prefix + "gemm_f16/" + s.name, [&](benchmark::State& state) { product(state, table, s, DType::f16); });
  }
  for (const Shape& s : kFewRows) {
    add(prefix + "few_rows_f32/" + s.name, [&](benchmark::State& state) { product(state, table, s, DType::f32); });
    add(prefix + "few_rows_f16/" + s.name, [&](benchmark::State& state) { product(state, table, s, DType::f16); });
    add(prefix + "few_rows_s8/" + s.name, [&](benchmark::State& state) { product(state, table, s, DType::s8); });
  }
  add(prefix + "packing_f32", [&](benchmark::State& state) { packing(state, table, DType::f32); });
  add(prefix + "packing_f16", [&](benchmark::State& state) { packing(state, table, DType::f16); });
}

void add_blocks_and_rows(const KernelTable& table) {
  const std::string prefix = std::string(table.name) + "/";
  add(prefix + "mlp_block_f32/s3", [&](benchmark::State& state) { mlp(state, table, DType::f32); });
  add(prefix + "mlp_block_s8/s3", [&](benchmark::State& state) { mlp(state, table, DType::s8); });
  add(prefix + "window_attention_block_f32/s3",
      [&](benchmark::State& state) { window_block(state, table, DType::f32); });
  add(prefix + "window_attention_block_s8/s3", [&](benchmark::State& state) { window_block(state, table, DType::s8); });
  for (const Arithmetic arithmetic : {Arithmetic::f32, Arithmetic::fixed}) {
    const std::string name = arithmetic == Arithmetic::f32 ? "attention_f32" : "attention_fixed";
    add(prefix + name + "/encoder",
        [&table, arithmetic](benchmark::State& state) { encoder_attention(state, table, arithmetic); });
  }
  add(prefix + "channel_attention_block/s3", [&](benchmark::State& state) { channel_block(state, table, DType::f32); });
  add(prefix + "gelu", [&](benchmark::State& state) { gelu(state, table); });
  for (const std::int64_t n : {144, 587}) {
    add(prefix + "softmax/" + std::to_string(n), [&table, n](benchmark::State& state) { softmax(state, table, n); });
  }
  for (const std::int64_t n : {128, 512}) {
    add(prefix + "layer_norm/" + std::to_string(n),
        [&table, n](benchmark::State& state) { layer_norm_row(state, table, n); });
  }
  add(prefix + "depthwise/s1", [&](benchmark::State& state) { depthwise(state, table, {192, 192}, 128); });
  add(prefix + "depthwise/s3", [&](benchmark::State& state) { depthwise(state, table, {48, 48}, 512); });
}

/// bf16 by bf16, for the tables that have it.
void add_paired(const KernelTable& table) {
  if (table.gemm_f32_bf16_bf16p == nullptr) return;
  const std::string prefix = std::string(table.name) + "/";
  for (const Shape& s : kProducts) {
    add(prefix + "gemm_bf16/" + s.name, [&](benchmark::State& state) { product(state, table, s, kPaired); });
  }
  for (const Shape& s : kFewRows) {
    add(prefix + "few_rows_bf16/" + s.name, [&](benchmark::State& state) { product(state, table, s, kPaired); });
  }
  add(prefix + "mlp_block_bf16/s3", [&](benchmark::State& state) { mlp(state, table, kPaired); });
  add(prefix + "window_attention_block_bf16/s3", [&](benchmark::State& state) { window_block(state, table, kPaired); });
  add(prefix + "channel_attention_block_bf16/s3",
      [&](benchmark::State& state) { channel_block(state, table, kPaired); });
}

}  // namespace
}  // namespace florence2::bench

int main(int argc, char** argv) {
  using namespace florence2;
  for (const KernelTable* table : available_tables()) {
    bench::add_products(*table);
    bench::add_blocks_and_rows(*table);
    bench::add_paired(*table);
  }
  for (const bench::Shape& s : bench::kProducts) {
    bench::add("eigen/gemm_f32/" + std::string(s.name), [&](benchmark::State& state) { product_by_eigen(state, s); });
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
