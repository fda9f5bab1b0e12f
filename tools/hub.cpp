#include "tools/hub.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace florence2 {
namespace {

/// Letters, digits, "-", "_" and "."; no name is hidden or leaves its folder.
bool is_name(std::string_view text) {
  const auto allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
  };
  return !text.empty() && text.size() <= 96 && text[0] != '.' && text.find("..") == text.npos &&
         std::all_of(text.begin(), text.end(), allowed);
}

/// Branches may hold slashes: "refs/pr/6".
bool is_revision(std::string_view text) {
  while (true) {
    const std::size_t slash = text.find('/');
    if (!is_name(text.substr(0, slash))) return false;
    if (slash == text.npos) return true;
    text.remove_prefix(slash + 1);
  }
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

std::string first_of(std::initializer_list<std::string> texts) {
  const auto found = std::find_if(texts.begin(), texts.end(), [](const std::string& text) { return !text.empty(); });
  return found == texts.end() ? std::string() : *found;
}

std::string under(const std::string& folder, const char* rest) { return folder.empty() ? folder : folder + rest; }

}  // namespace

std::optional<HubRepository> parse_repository(std::string_view text) {
  HubRepository repository;
  if (const std::size_t at = text.find('@'); at != text.npos) {
    repository.revision = text.substr(at + 1);
    text = text.substr(0, at);
  }
  for (const std::string_view size : {"base", "large", "base-ft", "large-ft"}) {
    if (text == size) repository.owner = "microsoft", repository.name = "Florence-2-" + std::string(size);
  }
  if (const std::size_t slash = text.find('/'); slash != text.npos) {
    repository.owner = text.substr(0, slash);
    repository.name = text.substr(slash + 1);
  }
  if (!is_name(repository.owner) || !is_name(repository.name) || !is_revision(repository.revision)) return std::nullopt;
  return repository;
}

HubSettings hub_settings_from_environment() {
  HubSettings settings;
  settings.endpoint = first_of({variable("HF_ENDPOINT"), "https://huggingface.co"});
  while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
  settings.cache = first_of({variable("HF_HUB_CACHE"), variable("HUGGINGFACE_HUB_CACHE"),
                             under(variable("HF_HOME"), "/hub"), under(variable("XDG_CACHE_HOME"), "/huggingface/hub"),
                             under(variable("HOME"), "/.cache/huggingface/hub"), "huggingface-hub"});
  settings.token = variable("HF_TOKEN");
  const std::string offline = variable("HF_HUB_OFFLINE");
  settings.offline = offline == "1" || offline == "true" || offline == "TRUE" || offline == "yes" || offline == "on";
  return settings;
}

}  // namespace florence2
