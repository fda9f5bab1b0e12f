// The text model against the formulas in double: the encoder, and decoding token by token over the cache against
// recomputing whole sequences.
#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>

#include "kernels/isa.hpp"
#include "model/text_decoder.hpp"
#include "model/text_encoder.hpp"
#include "tests/support.hpp"
#include "tests/tiny_model.hpp"

namespace florence2 {
namespace {

using namespace test;

// As in davit_test: about 40 operations deep, each within a few 2^-24 of its magnitude.
constexpr double kTolerance = 5e-6;

const std::vector<std::int32_t> kPrompt{0, 9, 41, 2, 66, 2};

struct Fixture {
  explicit Fixture(const KernelTable& table_, std::uint64_t seed = 7)
      : table(table_), tensors(seed), weights(tiny_weights(tensors, config, table_)), context(table_, 2) {
    image = Random(seed + 1).floats(5 * config.text.d_model);
  }
  View<const float> image_view() const { return {image.data(), 5, config.text.d_model}; }
  Matrix reference_memory() {
    return ReferenceModel(tensors, config).memory(to_matrix(image.data(), 5, config.text.d_model), kPrompt);
  }

  const KernelTable& table;
  Config config = tiny_config();
  TinyTensors tensors;
  Weights weights;
  Context context;
  std::vector<float> image;
  EncoderBuffers buffers;
};

Matrix last_row(const Matrix& x) {
  Matrix row(1, x.cols);
  std::copy(x.values.end() - x.cols, x.values.end(), row.values.begin());
  return row;
}

TEST_CASE("encoder memory equals the formulas") {
  Fixture f(*GENERATE(from_range(available_tables())));
  INFO(f.table.name);
  const View<const float> memory = run_encoder(f.context, f.weights.encoder, f.image_view(), kPrompt, f.buffers);
  CHECK(relative_difference(memory, f.reference_memory()) < kTolerance);
}

TEST_CASE("decoding beam by beam over the cache equals recomputing every sequence") {
  Fixture f(*GENERATE(from_range(available_tables())));
  const int beams = GENERATE(1, 2, 5);
  INFO(f.table.name << ", beams " << beams);
  const View<const float> memory = run_encoder(f.context, f.weights.encoder, f.image_view(), kPrompt, f.buffers);
  const Matrix reference_memory = f.reference_memory();
  ReferenceModel reference(f.tensors, f.config);
  DecoderState state;
  Random random(11);
  // Twice on the same state: nothing of the first generation may show in the second.
  for (const int steps : {7, 12}) {
    state.start(f.context, f.weights.decoder, memory, beams, steps);
    std::vector<std::vector<std::int32_t>> sequences(static_cast<std::size_t>(beams));
    for (int t = 0; t < steps; ++t) {
      std::vector<int> parents;
      std::vector<std::int32_t> tokens;
      auto grown = sequences;
      for (int b = 0; b < beams; ++b) {
        parents.push_back(static_cast<int>(random.bits() % static_cast<std::uint64_t>(beams)));
        tokens.push_back(static_cast<std::int32_t>(random.bits() % 67));
        auto& sequence = grown[static_cast<std::size_t>(b)];
        sequence = sequences[static_cast<std::size_t>(parents.back())];
        sequence.push_back(tokens.back());
      }
      sequences = grown;
      const View<const float> logits = state.step(f.context, f.weights.decoder, tokens, parents);
      REQUIRE(logits.rows == beams);
      for (int b = 0; b < beams; ++b) {
        const Matrix all = reference.logits(reference_memory, sequences[static_cast<std::size_t>(b)]);
        INFO("step " << t << ", beam " << b);
        CHECK(relative_difference(logits.row_range(b, 1), last_row(all)) < kTolerance);
      }
    }
    CHECK(state.steps() == steps);
  }
}

TEST_CASE("one beam's logits have the same bits alone and among others, and for any number of threads") {
  const KernelTable& table = *GENERATE(from_range(available_tables()));
  std::vector<std::vector<float>> runs;
  for (const int beams : {1, 4}) {
    for (const int threads : {1, 3}) {
      Fixture f(table);
      f.context = Context(table, threads);
      const View<const float> memory = run_encoder(f.context, f.weights.encoder, f.image_view(), kPrompt, f.buffers);
      DecoderState state;
      state.start(f.context, f.weights.decoder, memory, beams, 4);
      std::vector<int> parents(static_cast<std::size_t>(beams));
      std::iota(parents.begin(), parents.end(), 0);
      std::vector<float> bits;
      for (const std::int32_t first : {2, 0, 30, 31}) {
        std::vector<std::int32_t> tokens(static_cast<std::size_t>(beams));
        std::iota(tokens.begin(), tokens.end(), first);
        const View<const float> logits = state.step(f.context, f.weights.decoder, tokens, parents);
        bits.insert(bits.end(), logits.row(0), logits.row(0) + logits.cols);
      }
      runs.push_back(bits);
    }
  }
  for (const std::vector<float>& run : runs) CHECK(run == runs.front());
}

}  // namespace
}  // namespace florence2
