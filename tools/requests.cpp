#include "tools/requests.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "core/file.hpp"
#include "core/json.hpp"
#include "model/florence2.hpp"

namespace florence2 {
namespace {

constexpr std::int64_t kLargestFile = std::int64_t{1} << 30;

/// One line.
struct RequestLine {
  std::string image;
  Job job;
};

Error wrong(std::string message) { return {ErrorCode::data, std::move(message), {}}; }

Error wrong_kind(const std::string& member, const char* expected, const json::Value& found) {
  return wrong("\"" + member + "\" must be " + expected + ", found " + std::string(found.kind()));
}

Result<Box> region_of(const json::Value& value) {
  const json::Array* numbers = value.array();
  if (numbers == nullptr || numbers->size() != 4) {
    return wrong("\"region\" must be four numbers [x0, y0, x1, y1] in pixels, found " + json::dump(value));
  }
  double corners[4] = {};
  for (std::size_t i = 0; i < 4; ++i) {
    if (!(*numbers)[i].number(corners[i])) return wrong_kind("region", "four numbers", (*numbers)[i]);
  }
  if (!(corners[0] <= corners[2] && corners[1] <= corners[3])) {
    return wrong("\"region\" must be [x0, y0, x1, y1] with x0 ≤ x1 and y0 ≤ y1, found " + json::dump(value));
  }
  return Box{static_cast<float>(corners[0]), static_cast<float>(corners[1]), static_cast<float>(corners[2]),
             static_cast<float>(corners[3])};
}

Status take_member(RequestLine& request, const std::string& name, const json::Value& value) {
  if (name == "region") {
    FL_ASSIGN(request.job.region, region_of(value));
    return {};
  }
  constexpr std::string_view kTexts[] = {"image", "task", "text", "prompt"};
  if (std::find(std::begin(kTexts), std::end(kTexts), name) == std::end(kTexts)) {
    return wrong("unknown member \"" + name + "\"; there are image, task, text, region and prompt");
  }
  if (value.string() == nullptr) return wrong_kind(name, "a string", value);
  if (name == "task") {
    FL_ASSIGN(request.job.task, parse_task_name(*value.string()));
    request.job.answer = task_info(*request.job.task).answer;
    return {};
  }
  (name == "image" ? request.image : name == "text" ? request.job.text : request.job.prompt) = *value.string();
  return {};
}

Error needs(const Job& job, const std::string& input) {
  return wrong("task " + std::string(job.task_token()) + " needs " + input);
}

/// What cannot be asked, whatever the picture.
Status check(const RequestLine& request, Compat compat) {
  const Job& job = request.job;
  if (request.image.empty()) return wrong("\"image\" is missing: the picture's file");
  if (request.image == "-") return wrong("\"image\" must be a file, found \"-\"");
  if (job.task.has_value() != job.prompt.empty()) return wrong("needs either \"task\" or \"prompt\"");
  if (!job.task) {
    return job.region || !job.text.empty() ? wrong("\"text\" and \"region\" go with \"task\"") : Status();
  }
  const bool takes_region = task_info(*job.task).input == TaskInput::region;
  if (job.region && !takes_region) return wrong("task " + std::string(job.task_token()) + " takes no region");
  if (job.region) return job.text.empty() ? Status() : wrong("needs either \"text\" or \"region\", not both");
  if (job.text.empty() && task_info(*job.task).input == TaskInput::text) return needs(job, "a \"text\"");
  if (job.text.empty() && takes_region) return needs(job, "a region: \"region\": [x0, y0, x1, y1]");
  const auto prompt = build_prompt(*job.task, job.text, compat);
  return prompt ? Status() : prompt.error();
}

Result<RequestLine> parse_request(std::string_view line, const RunOptions& shared) {
  const auto parsed = json::parse(line);
  if (!parsed) return wrong("not JSON: " + parsed.error().text());
  const json::Value& value = *parsed;
  if (value.object() == nullptr) return wrong("must be an object, found " + std::string(value.kind()));
  RequestLine request;
  request.job.answer = shared.prompt_answer;
  for (const auto& [name, member] : *value.object()) FL_TRY(take_member(request, name, member));
  FL_TRY(check(request, shared.compat));
  return request;
}

void append(std::vector<Assignment>& assignments, RequestLine request) {
  if (assignments.empty() || assignments.back().input.path != request.image) {
    std::string place = std::filesystem::path(request.image).filename().string();
    assignments.push_back({{std::move(request.image), std::move(place)}, {}});
  }
  assignments.back().jobs.push_back(std::move(request.job));
}

}  // namespace

Result<std::vector<Assignment>> read_requests(const std::string& file, const RunOptions& shared) {
  FL_ASSIGN(const std::string text, file == "-" ? read_standard_input(kLargestFile) : read_file(file, kLargestFile));
  const std::string name = file == "-" ? "standard input" : file;
  std::vector<Assignment> assignments;
  std::int64_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto request = parse_request(line, shared);
    if (!request) {
      return Error{ErrorCode::data, "line " + std::to_string(number) + ": " + request.error().text(), name};
    }
    append(assignments, std::move(request).value());
  }
  if (assignments.empty()) return Error{ErrorCode::not_found, "no requests found", name};
  return assignments;
}

}  // namespace florence2
