// The settled part of an answer as text, piece by piece.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "model/config.hpp"
#include "tokenizer/tokenizer.hpp"

namespace florence2 {

/// Ids that only frame an answer: <s>, </s> and <pad>.
inline bool is_frame(const TextConfig& config, std::int32_t id) {
  return id == config.bos || id == config.pad || id == config.eos;
}

/// Hands out text once it is settled, in whole characters; what it hands out adds up to the decoded text of all ids
/// without the frame.
class TextStream {
 public:
  using Receiver = std::function<bool(std::string_view)>;

  /// The arguments must outlive it.
  TextStream(const Tokenizer& tokenizer, const TextConfig& config, const Receiver& receiver)
      : tokenizer_(tokenizer), config_(config), receiver_(receiver) {}

  /// `ids`: all settled ids, which begin with those of the last call; `last`: no more will come. False: the receiver
  /// wants no more.
  bool update(std::span<const std::int32_t> ids, bool last);

 private:
  const Tokenizer& tokenizer_;
  const TextConfig& config_;
  const Receiver& receiver_;
  std::size_t seen_ = 0;  // ids
  std::string waiting_;   // bytes that do not yet make up characters
};

}  // namespace florence2
