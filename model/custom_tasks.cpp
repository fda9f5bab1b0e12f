// Tasks from a JSON file.
#include <algorithm>
#include <array>
#include <set>

#include "core/json.hpp"
#include "model/florence2.hpp"
#include "model/guarded.hpp"
#include "model/prompt.hpp"

namespace florence2 {
namespace {

constexpr std::int64_t kMostBytes = 1 << 20;

template <typename Enum>
struct Choice {
  std::string_view name;
  Enum value;
};
constexpr std::array<Choice<AnswerKind>, 5> kAnswers = {{{"text", AnswerKind::text},
                                                         {"boxes", AnswerKind::boxes},
                                                         {"quads", AnswerKind::quads},
                                                         {"polygons", AnswerKind::polygons},
                                                         {"boxes_or_polygons", AnswerKind::boxes_or_polygons}}};
constexpr std::array<Choice<TaskInput>, 3> kInputs = {
    {{"none", TaskInput::none}, {"text", TaskInput::text}, {"region", TaskInput::region}}};

/// Reads the members of one task; messages name it by its place in the list.
class TaskReader {
 public:
  TaskReader(const json::Value& value, std::size_t index)
      : value_(value), place_("tasks[" + std::to_string(index) + "]") {}

  Result<CustomTask> read() const {
    if (value_.object() == nullptr) return error(": expected an object, found " + std::string(value_.kind()));
    FL_TRY(check_members());
    CustomTask task;
    for (const auto& [member, field] :
         {std::pair("name", &task.name), std::pair("token", &task.token), std::pair("prompt", &task.prompt)}) {
      FL_ASSIGN(*field, text(member));
      if (field->empty()) return error('.' + std::string(member) + " is missing or empty");
    }
    FL_ASSIGN(task.description, text("description"));
    FL_ASSIGN(task.answer, choice<AnswerKind>("answer", kAnswers));
    FL_ASSIGN(task.input, choice<TaskInput>("input", kInputs));
    if ((task.input != TaskInput::none) != (task.prompt.find("{input}") != std::string::npos)) {
      return error(".prompt must hold \"{input}\" exactly when \"input\" is text or region");
    }
    return task;
  }

 private:
  Error error(const std::string& what) const { return {ErrorCode::data, place_ + what, ""}; }

  Status check_members() const {
    constexpr std::array<std::string_view, 6> kMembers = {"name", "token", "prompt", "answer", "input", "description"};
    for (const auto& [member, value] : *value_.object()) {
      if (std::find(kMembers.begin(), kMembers.end(), member) != kMembers.end()) continue;
      return error(": unknown member " + quoted(member) + "; known: name, token, prompt, answer, input, description");
    }
    return {};
  }

  /// The member as text; empty when it is not there.
  Result<std::string> text(std::string_view member) const {
    const json::Value* found = value_.find(member);
    if (found == nullptr) return std::string();
    if (found->string() != nullptr) return *found->string();
    return error('.' + std::string(member) + " must be a string, not " + std::string(found->kind()));
  }

  /// The member as one of `choices`; the first when it is not there.
  template <typename Enum>
  Result<Enum> choice(std::string_view member, std::span<const Choice<Enum>> choices) const {
    if (value_.find(member) == nullptr) return choices.front().value;
    FL_ASSIGN(const std::string name, text(member));
    std::string known;
    for (const Choice<Enum>& choice : choices) {
      if (choice.name == name) return choice.value;
      known.append(known.empty() ? "" : ", ").append(choice.name);
    }
    return error('.' + std::string(member) + " must be one of " + known + ", not " + quoted(name));
  }

  const json::Value& value_;
  std::string place_;
};

Result<std::vector<CustomTask>> read_tasks(const json::Value& document) {
  const json::Value* list = document.find("tasks");
  if (list == nullptr || list->array() == nullptr) {
    return Error{ErrorCode::data, "expected an object with the list \"tasks\"", ""};
  }
  std::vector<CustomTask> tasks;
  std::set<std::string> seen;
  for (std::size_t i = 0; i < list->array()->size(); ++i) {
    FL_ASSIGN(CustomTask task, TaskReader((*list->array())[i], i).read());
    if (!seen.insert(task.token).second) {
      return Error{ErrorCode::data, "tasks[" + std::to_string(i) + "]: token " + quoted(task.token) + " is there twice",
                   ""};
    }
    tasks.push_back(std::move(task));
  }
  return tasks;
}

}  // namespace

Result<std::vector<CustomTask>> load_tasks(const std::string& json_path) {
  return guarded([&]() -> Result<std::vector<CustomTask>> {
    auto document = json::parse_file(json_path, kMostBytes);
    auto tasks = document ? read_tasks(*document) : Result<std::vector<CustomTask>>(document.error());
    if (tasks) return tasks;
    Error error = tasks.error();
    error.where = json_path;
    if (error.code == ErrorCode::model) error.code = ErrorCode::data;  // a damaged file is no damaged model here
    return error;
  });
}

}  // namespace florence2
