// Prompts behind build_prompt (model/florence2.hpp): the references' own rule from one raw string.
#pragma once

#include <string>
#include <string_view>

#include "core/result.hpp"
#include "model/florence2.hpp"

namespace florence2 {

/// What a prompt is made from, of a task in the table or one of the user's.
struct TaskForm {
  std::string_view token, prompt;
  TaskInput input = TaskInput::none;
};
inline TaskForm form_of(const TaskInfo& task) { return {task.token, task.prompt, task.input}; }
inline TaskForm form_of(const CustomTask& task) { return {task.token, task.prompt, task.input}; }

/// What the references' processors make of one string, task token included ("<OD>", "<REGION_TO_OCR><loc_1>…"); a
/// string without a task token is the prompt itself (specification, section 9). hf strips the input of a task, ms does
/// not. Error argument: a task without input is not alone in the string. `compat` is hf or ms.
Result<std::string> reference_prompt(std::string_view text, Compat compat);

/// `text` in double quotes, cut to what fits a message.
std::string quoted(std::string_view text);

}  // namespace florence2
