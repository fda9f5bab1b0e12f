#include "tools/stage_totals.hpp"

#include <algorithm>
#include <cstdio>

#include "tools/memory.hpp"

namespace florence2 {
namespace {

std::string row(const char* stage, double total, std::int64_t runs, const char* unit) {
  char line[128];
  std::snprintf(line, sizeof(line), "  %-13s %10.1f ms %7lld %-9s %10.1f ms each\n", stage, total,
                static_cast<long long>(runs), unit, total / static_cast<double>(std::max<std::int64_t>(runs, 1)));
  return line;
}

}  // namespace

void StageTotals::add_picture(double decode_ms, const Timings& encode) {
  ++pictures;
  decode_image += decode_ms;
  stages.preprocess += encode.preprocess;
  stages.vision += encode.vision;
}

void StageTotals::add_answer(const TaskResult& result) {
  ++answers;
  tokens += static_cast<std::int64_t>(result.log_probs.size());
  stages.prefill += result.timings.prefill;
  stages.generate += result.timings.generate;
}

std::string StageTotals::table() const {
  char memory[64];
  std::snprintf(memory, sizeof(memory), "  peak memory   %10.1f MB\n",
                static_cast<double>(peak_resident_bytes()) / 1e6);
  return row("load", load, 1, "model") + row("decode image", decode_image, pictures, "pictures") +
         row("preprocess", stages.preprocess, pictures, "pictures") +
         row("vision", stages.vision, pictures, "pictures") + row("prefill", stages.prefill, answers, "answers") +
         row("generate", stages.generate, tokens, "tokens") + memory;
}

}  // namespace florence2
