// Any text as a model's answer, for every task and dialect, and as a prompt's input. Repaired answers never leak
// tokens.
#include <cstdlib>

#include "model/florence2.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace florence2;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const TaskInfo& info : all_tasks()) {
    for (const Compat compat : {Compat::none, Compat::hf, Compat::ms}) {
      const Answer answer = parse_answer(info.task, text, 640, 480, compat);
      (void)build_prompt(info.task, text, compat);
      if (compat != Compat::none) continue;
      for (const Item& item : answer.items) {
        if (item.label.find("<loc_1>") != std::string::npos || item.label.find("</s>") != std::string::npos)
          std::abort();
      }
    }
  }
  (void)parse_task_name(text);
  return 0;
}
