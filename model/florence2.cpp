#include "model/florence2.hpp"

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "core/heap.hpp"
#include "kernels/isa.hpp"
#include "kernels/thread_pool.hpp"
#include "model/engine.hpp"
#include "model/guarded.hpp"

namespace florence2 {
namespace {

Status check_vocabulary(const Tokenizer& tokenizer, int rows, const std::string& directory) {
  if (tokenizer.size() <= rows) return {};
  const std::int32_t last = tokenizer.size() - 1;
  return Error{ErrorCode::model,
               "token \"" + std::string(tokenizer.piece(last)) + "\" has id " + std::to_string(last) +
                   ", the embedding has " + std::to_string(rows) + " rows",
               directory + "/tokenizer.json"};
}

/// Image tokens and prompt share the encoder's positions.
Status check_positions(const Config& config, const std::string& directory) {
  const int tokens = config.image_tokens(), positions = config.text.max_positions;
  if (tokens < positions) return {};
  const std::string path = directory + "/preprocessor_config.json";
  std::error_code ignored;
  const bool given = std::filesystem::exists(path, ignored);
  return Error{ErrorCode::model,
               "size = " + std::to_string(config.image.side) + " gives " + std::to_string(tokens) +
                   " image tokens, the position table has " + std::to_string(positions) + " rows" +
                   (given ? "" : "; without this file the size is the published models'"),
               path};
}

/// Tokenizer and weights side by side, where there are threads for it: each takes longer than a thread's start.
Status load_files(const std::string& directory, const ModelOptions& options, ModelImpl& impl, ModelInfo& loaded) {
  FL_ASSIGN(impl.precision, parse_precision(options.precision, *impl.table));
  const auto read_tokenizer = [&]() -> Status {
    FL_ASSIGN(impl.tokenizer, Tokenizer::load(directory));
    return {};
  };
  const auto read_weights = [&]() -> Status {
    FL_ASSIGN(impl.weights, load_weights(directory, impl.config, *impl.table, impl.precision, options, loaded));
    return {};
  };
  Status tokenizer, weights;
  ThreadPool pair(std::min(options.threads > 0 ? options.threads : default_threads(), 2));
  pair.parallel_for(2, [&](std::int64_t part, int) {
    if (part == 0) {
      weights = guarded(read_weights);
    } else {
      tokenizer = guarded(read_tokenizer);
    }
  });
  FL_TRY(tokenizer);
  FL_TRY(weights);
  release_freed_memory();  // the tokenizer's file as a document took megabytes
  return {};
}

Result<Model> load_model(const std::string& directory, const ModelOptions& options) {
  FL_TRY(check_threads(options.threads));
  auto impl = std::make_shared<ModelImpl>();
  FL_ASSIGN(impl->table, choose_table(options));
  FL_ASSIGN(impl->config, load_config(directory));
  ModelInfo loaded;
  FL_TRY(load_files(directory, options, *impl, loaded));
  FL_TRY(check_vocabulary(*impl->tokenizer, impl->config.text.vocabulary, directory));
  FL_TRY(check_positions(impl->config, directory));
  ModelInfo info = info_of(impl->config, *impl->table);
  info.directory = directory;
  info.precision = loaded.precision;
  info.layout = loaded.layout;
  info.storage = loaded.storage;
  info.parameters = loaded.parameters;
  info.weight_bytes = loaded.weight_bytes;
  info.tied_head = loaded.tied_head;
  info.adapters = std::move(loaded.adapters);
  info.warnings = std::move(loaded.warnings);
  impl->info = std::move(info);
  return Model(std::move(impl));
}

}  // namespace

Status check_precision(std::string_view precision) {
  return guarded([&]() -> Status {
    FL_TRY(parse_precision(precision, *available_tables().front()));
    return {};
  });
}

Result<Model> Model::load(const std::string& directory, const ModelOptions& options) {
  return guarded([&] { return load_model(directory, options); });
}

const ModelInfo& Model::info() const { return impl_->info; }

}  // namespace florence2
