#include "tokenizer/tokenizer_files.hpp"

#include <filesystem>
#include <string_view>
#include <utility>

#include "core/file.hpp"
#include "tokenizer/special_tokens.hpp"
#include "tokenizer/token_table.hpp"
#include "tokenizer/tokenizer_json.hpp"

namespace florence2 {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMaxFileBytes = std::int64_t{64} << 20;
constexpr std::size_t kMaxMerges = 4'000'000;

std::string path_in(const std::string& directory, const char* file) { return (fs::path(directory) / file).string(); }

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

Error missing_file(const std::string& directory) {
  std::string message = "tokenizer.json is missing; a model folder needs it beside config.json";
  if (exists(path_in(directory, "vocab.json"))) message += " (found vocab.json, but no merges.txt beside it)";
  return {ErrorCode::model, message, directory};
}

/// An object; empty when there is no such file.
Result<json::Value> read_optional(const std::string& path) {
  if (!exists(path)) return json::Value(json::Object());
  FL_ASSIGN(json::Value document, json::parse_file(path, kMaxFileBytes));
  if (document.object() != nullptr) return document;
  return Error{ErrorCode::model, "expected an object, found " + std::string(document.kind()), path};
}

/// The lines of merges.txt, "a b" each, without the one that names the format's version.
Result<json::Array> read_merge_lines(const std::string& path) {
  FL_ASSIGN(const std::string text, read_file(path, kMaxFileBytes));
  json::Array merges;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (merges.empty() && line.starts_with("#version"))) continue;
    if (merges.size() == kMaxMerges) return Error{ErrorCode::model, "more than 4,000,000 merges", path};
    merges.emplace_back(line);
  }
  return merges;
}

/// The special tokens of the folder's files, with the ids of `vocab` and `added`.
Result<json::Array> read_special_tokens(const std::string& directory, const json::Object& vocab,
                                        const TokenizerFiles& files) {
  TokenTable known(vocab.size() + files.added.size());
  const auto located = [](Status status, const std::string& path) -> Status {
    if (status) return status;
    return Error{status.error().code, status.error().message, path};
  };
  FL_TRY(located(add_tokens(vocab, known), files.path));
  FL_TRY(located(add_tokens(files.added, known), files.added_path));
  const std::string map_path = path_in(directory, "special_tokens_map.json");
  FL_ASSIGN(const json::Value map, read_optional(map_path));
  FL_ASSIGN(const json::Value config, read_optional(path_in(directory, "tokenizer_config.json")));
  auto tokens = special_tokens(map, config, known);
  if (!tokens) return Error{tokens.error().code, std::move(tokens.error().message), map_path};
  return tokens;
}

/// vocab.json and merges.txt as the document that tokenizer.json would hold.
Status read_parts(const std::string& directory, TokenizerFiles& files) {
  files.path = path_in(directory, "vocab.json");
  files.merges_path = path_in(directory, "merges.txt");
  FL_ASSIGN(json::Value vocab, json::parse_file(files.path, kMaxFileBytes));
  if (vocab.object() == nullptr) {
    return Error{ErrorCode::model, "expected an object, found " + std::string(vocab.kind()), files.path};
  }
  FL_ASSIGN(json::Array merges, read_merge_lines(files.merges_path));
  FL_ASSIGN(json::Array special, read_special_tokens(directory, *vocab.object(), files));
  json::Object model{{"type", "BPE"}, {"vocab", std::move(vocab)}, {"merges", std::move(merges)}};
  files.document = json::Object{{"pre_tokenizer", json::Object{{"type", "ByteLevel"}}},
                                {"added_tokens", std::move(special)},
                                {"model", std::move(model)}};
  return {};
}

}  // namespace

Result<TokenizerFiles> read_tokenizer_files(const std::string& directory) {
  TokenizerFiles files;
  files.path = files.merges_path = path_in(directory, "tokenizer.json");
  files.added_path = path_in(directory, "added_tokens.json");
  FL_ASSIGN(json::Value added, read_optional(files.added_path));
  files.added = std::move(*added.object());
  const bool has_parts = exists(path_in(directory, "vocab.json")) && exists(path_in(directory, "merges.txt"));
  if (exists(files.path) || !exists(directory)) {
    FL_ASSIGN(files.document, json::parse_file(files.path, kMaxFileBytes));
  } else if (has_parts) {
    FL_TRY(read_parts(directory, files));
  } else {
    return missing_file(directory);
  }
  return files;
}

}  // namespace florence2
