// The table of tasks and their names.
#include <array>
#include <string>

#include "core/edit_distance.hpp"
#include "model/florence2.hpp"
#include "model/guarded.hpp"
#include "model/prompt.hpp"

namespace florence2 {
namespace {

constexpr std::array<TaskInfo, kTaskCount> kTasks = {{
    {Task::ocr, "<OCR>", "What is the text in the image?", TaskInput::none, AnswerKind::text, "text in the picture"},
    {Task::ocr_with_region, "<OCR_WITH_REGION>", "What is the text in the image, with regions?", TaskInput::none,
     AnswerKind::quads, "text with a quadrilateral around each line"},
    {Task::caption, "<CAPTION>", "What does the image describe?", TaskInput::none, AnswerKind::text, "one sentence"},
    {Task::detailed_caption, "<DETAILED_CAPTION>", "Describe in detail what is shown in the image.", TaskInput::none,
     AnswerKind::text, "a few sentences"},
    {Task::more_detailed_caption, "<MORE_DETAILED_CAPTION>", "Describe with a paragraph what is shown in the image.",
     TaskInput::none, AnswerKind::text, "a paragraph"},
    {Task::object_detection, "<OD>", "Locate the objects with category name in the image.", TaskInput::none,
     AnswerKind::boxes, "boxes with category names"},
    {Task::dense_region_caption, "<DENSE_REGION_CAPTION>", "Locate the objects in the image, with their descriptions.",
     TaskInput::none, AnswerKind::boxes, "boxes with short descriptions"},
    {Task::region_proposal, "<REGION_PROPOSAL>", "Locate the region proposals in the image.", TaskInput::none,
     AnswerKind::boxes, "boxes without labels"},
    {Task::phrase_grounding, "<CAPTION_TO_PHRASE_GROUNDING>", "Locate the phrases in the caption: {input}",
     TaskInput::text, AnswerKind::boxes, "boxes for the phrases of a caption"},
    {Task::referring_segmentation, "<REFERRING_EXPRESSION_SEGMENTATION>", "Locate {input} in the image with mask",
     TaskInput::text, AnswerKind::polygons, "outline of what a phrase names"},
    {Task::region_to_segmentation, "<REGION_TO_SEGMENTATION>", "What is the polygon mask of region {input}",
     TaskInput::region, AnswerKind::polygons, "outline of the thing in a region"},
    {Task::open_vocabulary_detection, "<OPEN_VOCABULARY_DETECTION>", "Locate {input} in the image.", TaskInput::text,
     AnswerKind::boxes_or_polygons, "boxes of what a phrase names"},
    {Task::region_to_category, "<REGION_TO_CATEGORY>", "What is the region {input}?", TaskInput::region,
     AnswerKind::text, "category of a region"},
    {Task::region_to_description, "<REGION_TO_DESCRIPTION>", "What does the region {input} describe?",
     TaskInput::region, AnswerKind::text, "description of a region"},
    {Task::region_to_ocr, "<REGION_TO_OCR>", "What text is in the region {input}?", TaskInput::region, AnswerKind::text,
     "text in a region"},
}};

std::string upper_case(std::string_view name) {
  std::string upper(name);
  for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return upper;
}

std::string_view bare_name(std::string_view token) { return token.substr(1, token.size() - 2); }

/// The task whose name is nearest to `name` (upper case, bare); none when all are too far to be meant.
const TaskInfo* nearest_task(std::string_view name) {
  if (name.size() > 64) return nullptr;
  const TaskInfo* nearest = nullptr;
  std::size_t too_far = name.size() / 3 + 1;
  for (const TaskInfo& info : kTasks) {
    const std::size_t distance = edit_distance(name, bare_name(info.token));
    if (distance >= too_far) continue;
    too_far = distance;
    nearest = &info;
  }
  return nearest;
}

Error unknown_task(std::string_view name, std::string_view bare) {
  std::string message = "unknown task " + quoted(name) + ';';
  if (const TaskInfo* nearest = nearest_task(bare)) {
    message += " did you mean " + quoted(nearest->token) + '?';
  }
  message += " list:";
  for (const TaskInfo& info : kTasks) message.append(1, ' ').append(info.token);
  return {ErrorCode::argument, std::move(message), {}};
}

}  // namespace

std::span<const TaskInfo, kTaskCount> all_tasks() { return kTasks; }

Result<Task> parse_task_name(std::string_view name) {
  return guarded([&]() -> Result<Task> {
    std::string_view bare = name;
    if (bare.size() >= 2 && bare.front() == '<' && bare.back() == '>') bare = bare_name(bare);
    const std::string upper = upper_case(bare);
    for (const TaskInfo& info : kTasks) {
      if (upper == bare_name(info.token)) return info.task;
    }
    return unknown_task(name, upper);
  });
}

}  // namespace florence2
