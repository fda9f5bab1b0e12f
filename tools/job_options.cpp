#include "tools/job_options.hpp"

#include <algorithm>
#include <set>

#include "tools/task_names.hpp"

namespace florence2 {
namespace {

/// The custom task called `name` (its name or token, any case), or null.
const CustomTask* find_custom(const std::vector<CustomTask>& tasks, const std::string& name) {
  const std::string wanted = lower_case(name);
  const auto found = std::find_if(tasks.begin(), tasks.end(), [&](const CustomTask& task) {
    const std::string token = lower_case(task.token);
    return wanted == lower_case(task.name) || wanted == token || "<" + wanted + ">" == token;
  });
  return found == tasks.end() ? nullptr : &*found;
}

Job job_of(Task task) { return {.task = task, .answer = task_info(task).answer}; }

Result<Job> find_task(const std::vector<CustomTask>& custom, const std::string& name) {
  if (const CustomTask* task = find_custom(custom, name)) return Job{.custom = *task, .answer = task->answer};
  const auto task = parse_task_name(name);
  if (task) return job_of(*task);
  std::string message = task.error().message;
  for (const CustomTask& own : custom) message += (&own == &custom.front() ? "; of your own: " : ", ") + own.name;
  return Error{task.error().code, std::move(message), "--task"};
}

Result<std::vector<CustomTask>> read_tasks(const std::string& file) {
  FL_ASSIGN(std::vector<CustomTask> tasks, load_tasks(file));
  std::set<std::string> names;
  for (const CustomTask& task : tasks) {
    if (!names.insert(lower_case(task.name)).second) {
      return Error{ErrorCode::data, "two tasks are called \"" + task.name + "\"", file};
    }
  }
  return tasks;
}

Task default_task(const JobOptions& question, const RunSettings& settings) {
  if (!settings.answer.classes.empty()) return Task::open_vocabulary_detection;
  if (settings.ocr_lines) return Task::ocr_with_region;
  return question.text.empty() ? Task::caption : Task::phrase_grounding;
}

/// One job for each region where the task takes one, else one job.
void add_jobs(Job job, const JobOptions& question, std::vector<Job>& jobs) {
  if (job.input() == TaskInput::region && !question.regions.empty()) {
    for (const Box& region : question.regions) {
      job.region = region;
      jobs.push_back(job);
    }
    return;
  }
  if (job.input() != TaskInput::none) job.text = question.text;
  jobs.push_back(std::move(job));
}

/// Whether the job has the input that it needs.
Status check_prompt(const Job& job, const RunSettings& settings) {
  if (job.region || (!job.task && !job.custom)) return {};
  const bool classes_are_text = job.task == Task::open_vocabulary_detection && !settings.answer.classes.empty();
  if (job.text.empty() && classes_are_text) return {};
  const auto prompt =
      job.task ? build_prompt(*job.task, job.text, settings.answer.compat) : build_prompt(*job.custom, job.text);
  return prompt ? Status() : Status(prompt.error());
}

Status check_inputs(const std::vector<Job>& jobs, const JobOptions& question, const RunSettings& settings) {
  bool text_used = question.text.empty(), region_used = question.regions.empty();
  for (const Job& job : jobs) {
    text_used = text_used || !job.text.empty();
    region_used = region_used || job.region.has_value();
    FL_TRY(check_prompt(job, settings));
  }
  const std::string token(jobs[0].task_token());
  const std::string asked = token.empty() ? "--prompt" : "task " + token;
  const auto both = std::find_if(jobs.begin(), jobs.end(), [](const Job& job) { return job.region.has_value(); });
  if (!text_used && both != jobs.end()) {
    const std::string task(both->task_token());
    return Error{ErrorCode::argument, "task " + task + " needs either --text or --region, not both", {}};
  }
  if (!text_used) return Error{ErrorCode::argument, asked + " takes no text", "--text"};
  if (!region_used) return Error{ErrorCode::argument, asked + " takes no region", "--region"};
  return {};
}

}  // namespace

std::string_view Job::task_token() const {
  if (task) return task_info(*task).token;
  return custom ? std::string_view(custom->token) : std::string_view();
}

std::string Job::name() const {
  if (task) return short_name(task_info(*task));
  return custom ? custom->name : "prompt";
}

TaskInput Job::input() const {
  if (task) return task_info(*task).input;
  return custom ? custom->input : TaskInput::none;
}

Result<std::vector<Job>> make_jobs(const JobOptions& question, const RunSettings& settings) {
  std::vector<CustomTask> custom;
  if (!question.task_file.empty()) {
    FL_ASSIGN(custom, read_tasks(question.task_file));
  }
  std::vector<Job> jobs;
  for (const std::string& name : question.tasks) {
    FL_ASSIGN(Job job, find_task(custom, name));
    add_jobs(std::move(job), question, jobs);
  }
  for (const std::string& prompt : question.prompts) {
    jobs.push_back({.prompt = prompt, .answer = settings.answer.prompt_answer});
  }
  if (jobs.empty()) add_jobs(job_of(default_task(question, settings)), question, jobs);
  FL_TRY(check_inputs(jobs, question, settings));
  return jobs;
}

}  // namespace florence2
