#include "tools/hub_download.hpp"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <utility>

#include "tools/download_file.hpp"
#include "tools/http.hpp"
#include "tools/hub_cache.hpp"

namespace florence2 {
namespace {

constexpr std::size_t kMaxListingBytes = std::size_t{16} << 20;
constexpr std::int64_t kMostBytes = std::int64_t{1} << 40;
constexpr std::string_view kSmallFiles[] = {
    "config.json",         "generation_config.json",    "preprocessor_config.json",
    "tokenizer.json",      "tokenizer_config.json",     "vocab.json",
    "merges.txt",          "added_tokens.json",         "special_tokens_map.json",
    "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"};

Error not_listing(const std::string& what) {
  return {ErrorCode::data, "the answer is no list of a repository's files: " + what, {}};
}

/// Part of a path inside the cache.
bool is_hex(std::string_view text) {
  return text.size() >= 8 && text.size() <= 64 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

std::string text_at(const json::Value& value, std::string_view key) {
  const json::Value* member = value.find(key);
  return member != nullptr && member->string() != nullptr ? *member->string() : std::string();
}

/// One entry of "siblings"; its etag is empty when it is not as expected.
HubFile read_file_entry(const json::Value& entry) {
  HubFile file;
  file.name = text_at(entry, "rfilename");
  file.etag = text_at(entry, "blobId");
  const json::Value* size = entry.find("size");
  if (const json::Value* lfs = entry.find("lfs"); lfs != nullptr && lfs->object() != nullptr) {
    file.etag = file.sha256 = text_at(*lfs, "sha256");
    size = lfs->find("size");
  }
  const bool has_size = size != nullptr && size->integer() != nullptr && *size->integer() >= 0;
  if (has_size) file.bytes = std::min(*size->integer(), kMostBytes);
  if (!has_size || !is_hex(file.etag)) file.etag.clear();
  return file;
}

/// The form of the weights that would be loaded: its file, or its index and shards.
std::string weights_pattern(const std::vector<HubFile>& files) {
  const auto has = [&](std::string_view name) {
    return std::any_of(files.begin(), files.end(), [&](const HubFile& file) { return file.name == name; });
  };
  if (has("model.safetensors")) return "model.safetensors";
  if (has("model.safetensors.index.json")) return "model-*.safetensors";
  return has("pytorch_model.bin") ? "pytorch_model.bin" : "pytorch_model-*.bin";
}

bool is_wanted(std::string_view name, std::string_view pattern) {
  if (std::find(std::begin(kSmallFiles), std::end(kSmallFiles), name) != std::end(kSmallFiles)) return true;
  const std::size_t star = pattern.find('*');
  if (star == pattern.npos) return name == pattern;
  const bool is_index = name.ends_with(".index.json") && name.starts_with(pattern.substr(0, star - 1));
  return is_index || (name.starts_with(pattern.substr(0, star)) && name.ends_with(pattern.substr(star + 1)));
}

Result<HubListing> fetch_listing(const HubRepository& repository, const HubSettings& settings) {
  const std::string url =
      settings.endpoint + "/api/models/" + repository.id() + "/revision/" + repository.revision + "?blobs=true";
  std::string body;
  const HttpReceiver receiver{[](const HttpResponse&) { return true; },
                              [&](std::string_view piece) {
                                body += piece;
                                return body.size() <= kMaxListingBytes;
                              }};
  FL_ASSIGN(const HttpResponse response, http_get({url, settings.token, 0, settings.timeout_s}, receiver));
  if (response.status == 404) {
    return Error{ErrorCode::not_found, "no such repository or revision (status 404); is HF_TOKEN needed?", url};
  }
  if (response.status != 200) {
    const bool is_refused = response.status == 401 || response.status == 403;
    return Error{is_refused ? ErrorCode::permission : ErrorCode::io,
                 "the server answers with status " + std::to_string(response.status) +
                     (is_refused ? ": no such repository, or set HF_TOKEN to a token that may read it" : ""),
                 url};
  }
  auto answer = json::parse(body);
  if (!answer) return Error{ErrorCode::data, "the answer is not JSON: " + answer.error().message, url};
  auto listing = read_listing(*answer);
  if (!listing) return Error{listing.error().code, std::move(listing.error().message), url};
  return listing;
}

}  // namespace

Result<HubListing> read_listing(const json::Value& answer) {
  HubListing listing;
  listing.commit = text_at(answer, "sha");
  if (!is_hex(listing.commit)) return not_listing("\"sha\" is no commit");
  const json::Value* siblings = answer.find("siblings");
  if (siblings == nullptr || siblings->array() == nullptr) return not_listing("\"siblings\" is missing");
  std::vector<HubFile> all;
  for (const json::Value& entry : *siblings->array()) all.push_back(read_file_entry(entry));
  const std::string pattern = weights_pattern(all);
  bool has_weights = false;
  for (HubFile& file : all) {
    if (!is_wanted(file.name, pattern)) continue;
    if (file.name.find('/') != file.name.npos || file.etag.empty()) {
      return not_listing("\"" + file.name + "\" has no size or no checksum");
    }
    has_weights = has_weights || file.name.ends_with(".safetensors") || file.name.ends_with(".bin");
    listing.files.push_back(std::move(file));
  }
  if (!has_weights) return Error{ErrorCode::data, "the repository has no weights that can be read", {}};
  return listing;
}

Result<std::string> download_repository(const HubRepository& repository, const HubSettings& settings,
                                        const std::function<void(const HubFile&, std::int64_t)>& progress) {
  const HubCache cache(settings.cache, repository);
  if (settings.offline) {
    if (const auto found = cache.find()) return *found;
    return Error{ErrorCode::not_found, repository.id() + " is not in the cache, and downloading is switched off",
                 settings.cache};
  }
  FL_ASSIGN(const HubListing listing, fetch_listing(repository, settings));
  FL_TRY(cache.create());
  for (const HubFile& file : listing.files) {
    if (cache.has_file(listing.commit, file.name, file.bytes)) continue;
    std::error_code failure;
    const auto here = std::filesystem::file_size(cache.blob(file.etag), failure);
    if (failure || static_cast<std::int64_t>(here) != file.bytes) {
      const FileToDownload wanted{
          settings.endpoint + "/" + repository.id() + "/resolve/" + listing.commit + "/" + file.name,
          cache.blob(file.etag), file.bytes, file.sha256};
      FL_TRY(download_file(wanted, settings, [&](std::int64_t bytes) { progress(file, bytes); }));
    }
    FL_TRY(cache.link(listing.commit, file.name, file.etag));
  }
  FL_TRY(cache.set_commit(listing.commit));
  return cache.snapshot(listing.commit);
}

}  // namespace florence2
