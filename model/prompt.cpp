#include "model/prompt.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "model/guarded.hpp"
#include "model/parse_tags.hpp"
#include "model/unicode_text.hpp"
#include "tokenizer/location.hpp"

namespace florence2 {
namespace {

constexpr std::string_view kWrongOrder = "the second corner must not be left of or above the first";

Error argument_error(std::string message) { return {ErrorCode::argument, std::move(message), {}}; }

Error takes_no_text(std::string_view token) { return argument_error("task " + std::string(token) + " takes no text"); }

Error region_error(const std::string& region, std::string_view what) {
  return argument_error("region " + region + ": " + std::string(what));
}

std::string fill(std::string_view prompt, std::string_view input) {
  constexpr std::string_view kPlaceholder = "{input}";
  std::string filled(prompt);
  const std::size_t at = filled.find(kPlaceholder);
  if (at != std::string::npos) filled.replace(at, kPlaceholder.size(), input);
  return filled;
}

std::string location_tags(std::span<const int, 4> bins) {
  std::string tags;
  for (const int bin : bins) tags += "<loc_" + std::to_string(bin) + '>';
  return tags;
}

/// Exactly four location tags, each in 0 to 999, the second corner not before the first; gives them back as the
/// vocabulary spells them.
Result<std::string> checked_region(std::string_view input) {
  std::vector<std::int64_t> bins;
  std::size_t at = 0;
  while (const auto tag = tag_at(input, at, TagSet::locations)) {
    bins.push_back(tag->bin);
    at = tag->end;
  }
  if (at != input.size() || bins.size() != 4) {
    return region_error(quoted(input), "must be four numbers, as <loc_52><loc_332><loc_932><loc_774>");
  }
  if (*std::max_element(bins.begin(), bins.end()) >= kLocationBins) {
    return region_error(quoted(input), "values must be 0-999");
  }
  if (bins[2] < bins[0] || bins[3] < bins[1]) return region_error(quoted(input), kWrongOrder);
  std::array<int, 4> checked;
  std::transform(bins.begin(), bins.end(), checked.begin(), [](std::int64_t bin) { return static_cast<int>(bin); });
  return location_tags(checked);
}

/// Compat::none: what a task needs must be there, and nothing else.
Result<std::string> checked_prompt(const TaskForm& task, std::string_view input) {
  const std::string token(task.token);
  if (task.input == TaskInput::none) {
    if (!input.empty()) return takes_no_text(task.token);
    return std::string(task.prompt);
  }
  if (task.input == TaskInput::text) {
    if (input.empty()) return argument_error("task " + token + " needs text: --text \"…\"");
    return fill(task.prompt, input);
  }
  if (input.empty()) return argument_error("task " + token + " needs a region: --region X0,Y0,X1,Y1");
  FL_ASSIGN(const std::string region, checked_region(input));
  return fill(task.prompt, region);
}

/// "10,20,300,400" with the fewest digits.
std::string region_text(const Box& region) {
  std::string text;
  for (const float value : {region.x0, region.y0, region.x1, region.y1}) {
    std::array<char, 64> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    text.append(text.empty() ? "" : ",").append(digits.data(), end);
  }
  return text;
}

Result<std::string> checked_tokens(const Box& region, int width, int height) {
  if (width < 1 || height < 1) {
    return argument_error("a picture of " + std::to_string(width) + "x" + std::to_string(height) + " has no regions");
  }
  const auto inside = [](float value, int size) { return value >= 0 && value <= static_cast<float>(size); };
  if (!inside(region.x0, width) || !inside(region.x1, width) || !inside(region.y0, height) ||
      !inside(region.y1, height)) {
    return region_error(region_text(region),
                        "values must be inside " + std::to_string(width) + "x" + std::to_string(height));
  }
  if (region.x1 < region.x0 || region.y1 < region.y0) return region_error(region_text(region), kWrongOrder);
  const std::array<int, 4> bins = {location_bin(region.x0, width), location_bin(region.y0, height),
                                   location_bin(region.x1, width), location_bin(region.y1, height)};
  return location_tags(bins);
}

}  // namespace

std::string quoted(std::string_view text) {
  const std::string_view shown = cut(text, 80);
  return '"' + std::string(shown) + (shown.size() < text.size() ? "…\"" : "\"");
}

Result<std::string> reference_prompt(std::string_view text, Compat compat) {
  for (const TaskInfo& info : all_tasks()) {
    if (info.input != TaskInput::none || text.find(info.token) == text.npos) continue;
    if (text != info.token) return takes_no_text(info.token);
    return std::string(info.prompt);
  }
  for (const TaskInfo& info : all_tasks()) {
    if (info.input == TaskInput::none || text.find(info.token) == text.npos) continue;
    const CleanText input = without(text, {info.token});
    return fill(info.prompt, compat == Compat::hf ? strip(input.text) : input.text);
  }
  return std::string(text);
}

Result<std::string> build_prompt(Task task, std::string_view input, Compat compat) {
  return guarded([&]() -> Result<std::string> {
    if (static_cast<int>(task) >= kTaskCount) return argument_error("unknown task");
    const TaskInfo& info = task_info(task);
    if (compat == Compat::none) return checked_prompt(form_of(info), strip(input));
    return reference_prompt(std::string(info.token).append(input), compat);
  });
}

Result<std::string> build_prompt(const CustomTask& task, std::string_view input) {
  return guarded([&] { return checked_prompt(form_of(task), strip(input)); });
}

Result<std::string> region_tokens(const Box& region, int width, int height) {
  return guarded([&] { return checked_tokens(region, width, height); });
}

}  // namespace florence2
