// Prompts behind build_prompt (model/florence2.hpp): the references' own rule from one raw string.
#pragma once

#include <string>
#include <string_view>

#include "core/result.hpp"
#include "model/florence2.hpp"

namespace florence2 {

/// What the references' processors make of one string, task token included ("<OD>", "<REGION_TO_OCR><loc_1>…"); a
/// string without a task token is the prompt itself (specification, section 9). hf strips the input of a task, ms does
/// not. Error argument: a task without input is not alone in the string. `compat` is hf or ms.
Result<std::string> reference_prompt(std::string_view text, Compat compat);

/// `text` in double quotes, cut to what fits a message.
std::string quoted(std::string_view text);

}  // namespace florence2
