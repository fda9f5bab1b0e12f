#include "model/question.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <utility>

#include "model/prompt.hpp"
#include "model/rules.hpp"

namespace florence2 {
namespace {

Error argument_error(std::string message) { return {ErrorCode::argument, std::move(message), ""}; }

/// The fewest digits: "50", "0.5".
std::string number_text(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

std::string joined(std::span<const std::string> parts, std::string_view between) {
  std::string text;
  for (const std::string& part : parts) text.append(text.empty() ? "" : between).append(part);
  return text;
}

/// What goes into the task's prompt: the text, or the location tokens of the region.
Result<std::string> task_input(const TaskForm& task, const RunOptions& options, const EncodedImage& image) {
  if (!options.region) return options.text;
  if (task.input != TaskInput::region) return argument_error("task " + std::string(task.token) + " takes no region");
  if (!options.text.empty()) {
    return argument_error("task " + std::string(task.token) + " takes a region or location tokens as text, not both");
  }
  return region_tokens(*options.region, image.width(), image.height());
}

/// The same, or all classes in the way that the task was trained to read several things.
Result<std::string> task_input(Task task, const RunOptions& options, const EncodedImage& image) {
  if (options.text.empty() && !options.classes.empty()) {
    if (task == Task::open_vocabulary_detection) return joined(options.classes, "<and>");
    if (task == Task::phrase_grounding) return joined(options.classes, ", ");
  }
  return task_input(form_of(task_info(task)), options, image);
}

/// The features as a matrix [image tokens, d_model] of this model.
Result<View<const float>> features_of(const EncodedImage& image, const ModelImpl& model) {
  const std::int64_t tokens = model.config.image_tokens();
  const std::int64_t d = model.config.text.d_model;
  if (image.tokens() != tokens || image.dim() != d) {
    return argument_error("the encoded image has " + std::to_string(image.tokens()) + " x " +
                          std::to_string(image.dim()) + " features, this model needs " + std::to_string(tokens) +
                          " x " + std::to_string(d));
  }
  if (image.vision_id() != model.weights.vision_id) {
    return argument_error("the image was encoded by a model with other vision weights; encode it with this one");
  }
  return View<const float>(image.features().data(), tokens, d);
}

/// Where each token of `ids` stands in `text`, its decoded form. Where invalid UTF-8 was replaced while decoding,
/// pieces and text differ in length, and the text of every prefix tells.
std::vector<TokenSpan> token_spans(const Tokenizer& tokenizer, std::span<const std::int32_t> ids,
                                   std::span<const float> log_probs, std::string_view text) {
  std::string pieces;
  for (const std::int32_t id : ids) pieces += tokenizer.piece(id);
  const bool same = pieces == text;
  std::vector<TokenSpan> spans(ids.size());
  std::size_t begin = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::size_t end = same ? begin + tokenizer.piece(ids[i]).size() : tokenizer.decode(ids.first(i + 1)).size();
    spans[i] = {std::min(begin, end), end, i == 0 ? 0.0f : log_probs[i - 1]};
    begin = end;
  }
  return spans;
}

/// exp of the mean log-probability of the ids that are no frame; 0 when there are none.
float mean_confidence(const TextConfig& config, const Hypothesis& hypothesis) {
  double sum = 0;
  int count = 0;
  for (std::size_t i = 1; i < hypothesis.ids.size(); ++i) {
    if (is_frame(config, hypothesis.ids[i])) continue;
    sum += static_cast<double>(hypothesis.confidences[i - 1]);
    ++count;
  }
  return count == 0 ? 0.0f : static_cast<float>(std::exp(sum / count));
}

/// The ids as text, without the tokens that only frame it.
std::string plain_text(const Tokenizer& tokenizer, const TextConfig& config, std::vector<std::int32_t> ids) {
  std::erase_if(ids, [&](std::int32_t id) { return is_frame(config, id); });
  return tokenizer.decode(ids);
}

}  // namespace

Result<Inquiry> inquire(const EncodedImage& image, Task task, const RunOptions& options) {
  if (static_cast<int>(task) >= kTaskCount) return argument_error("unknown task");
  FL_ASSIGN(const std::string input, task_input(task, options, image));
  FL_ASSIGN(std::string prompt, build_prompt(task, input, options.compat));
  return Inquiry{&image, &options, answer_rules(task), task, std::move(prompt)};
}

Result<Inquiry> inquire(const EncodedImage& image, const CustomTask& task, const RunOptions& options) {
  FL_ASSIGN(const std::string input, task_input(form_of(task), options, image));
  FL_ASSIGN(std::string prompt, build_prompt(task, input));
  return Inquiry{&image, &options, {task.answer}, {}, std::move(prompt)};
}

Result<Inquiry> inquire(const Request& request) {
  if (request.image == nullptr) return argument_error("the request has no image");
  if (request.prompt.empty()) return inquire(*request.image, request.task, request.options);
  return Inquiry{request.image, &request.options, {request.options.prompt_answer}, {}, request.prompt};
}

std::vector<std::string> absent_classes(std::span<const std::string> classes, const Answer& answer) {
  std::vector<std::string> absent;
  std::copy_if(classes.begin(), classes.end(), std::back_inserter(absent), [&answer](const std::string& name) {
    return std::none_of(answer.items.begin(), answer.items.end(),
                        [&name](const Item& item) { return item.label == name; });
  });
  return absent;
}

Question::Question(const ModelImpl& model, Inquiry inquiry)
    : model_(model),
      inquiry_(std::move(inquiry)),
      options_(*inquiry_.options),
      stream_(*model.tokenizer, model.config.text, options_.on_text) {}

Result<std::unique_ptr<Question>> Question::prepare(const ModelImpl& model, Inquiry inquiry) {
  FL_ASSIGN(const auto features, features_of(*inquiry.image, model));
  FL_ASSIGN(const GenerationRules rules, rules_in_force(model.config, inquiry.options->generation));
  if (!(inquiry.options->deadline_ms >= 0)) {
    return argument_error("deadline_ms must be 0 or more, not " + number_text(inquiry.options->deadline_ms));
  }
  if (!model.tokenizer) return argument_error("this model has no tokenizer");
  std::unique_ptr<Question> question(new Question(model, std::move(inquiry)));
  question->job_.image = features;
  question->job_.rules = rules;
  FL_TRY(question->add_prompt());
  FL_TRY(question->add_grammar());
  Question* const self = question.get();
  question->job_.after_step = [self](Search& search, bool more) { return self->after_step(search, more); };
  return question;
}

Status Question::add_prompt() {
  FL_ASSIGN(job_.prompt, model_.tokenizer->encode(inquiry_.prompt));
  const int limit = model_.config.text.max_positions - model_.config.image_tokens();
  if (static_cast<std::int64_t>(job_.prompt.size()) <= limit) return {};
  return Error{ErrorCode::limit,
               "prompt has " + std::to_string(job_.prompt.size()) + " tokens, limit " + std::to_string(limit), ""};
}

Status Question::add_grammar() {
  if (options_.classes.empty()) {
    if (!options_.generation.well_formed || inquiry_.rules.kind == AnswerKind::text) return {};
    grammar_.emplace(inquiry_.rules, *model_.tokenizer);
  } else {
    if (!takes_classes(inquiry_.rules)) {
      return argument_error("classes need a task that answers with labelled boxes or polygons");
    }
    FL_ASSIGN(LabelTrie labels, LabelTrie::build(options_.classes, *model_.tokenizer));
    grammar_.emplace(inquiry_.rules, *model_.tokenizer, std::move(labels));
  }
  job_.grammar = &*grammar_;
  return check_end();
}

/// A search ends at the configuration's token, a grammar at the tokenizer's.
Status Question::check_end() const {
  const std::int32_t end = model_.config.text.eos, own = model_.tokenizer->id_of("</s>").value_or(-1);
  if (end == own) return {};
  return Error{ErrorCode::model,
               "answers can be kept to a form only where they end with </s>: it has id " + std::to_string(own) +
                   " in tokenizer.json, eos_token_id is " + std::to_string(end),
               ""};
}

double Question::elapsed_ms() const {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_).count();
}

Status Question::after_step(Search& search, bool more) {
  if (options_.on_step && search.steps() > 0 && !options_.on_step(search.steps())) return cancelled();
  if (options_.on_text && !stream_.update(search.settled(), !more)) return cancelled();
  if (!more || options_.deadline_ms == 0 || elapsed_ms() <= options_.deadline_ms) return {};
  return Error{ErrorCode::limit,
               "deadline of " + number_text(options_.deadline_ms) + " ms passed after " +
                   std::to_string(search.steps()) + " tokens",
               ""};
}

TaskResult Question::result(Decoded decoded) const {
  const Tokenizer& tokenizer = *model_.tokenizer;
  const EncodedImage& image = *inquiry_.image;
  Hypothesis& best = decoded.best;
  TaskResult result;
  result.prompt = inquiry_.prompt;
  const std::string text = tokenizer.decode(best.ids);
  const auto& log_probs = options_.compat == Compat::ms ? best.log_probs : best.confidences;
  result.answer = parse_scored(inquiry_.rules, inquiry_.task, {text, image.width(), image.height(), options_.compat},
                               token_spans(tokenizer, best.ids, log_probs, text));
  result.absent_classes = absent_classes(options_.classes, result.answer);
  result.text = plain_text(tokenizer, model_.config.text, best.ids);
  result.confidence = mean_confidence(model_.config.text, best);
  if (result.answer.kind == AnswerKind::text) result.answer.score = result.confidence;
  result.score = best.score;
  result.finish_reason = best.complete ? FinishReason::stop : FinishReason::length;
  result.timings = image.timings();
  result.timings.prefill = decoded.prefill_ms;
  result.timings.generate = decoded.generate_ms;
  result.token_ids = std::move(best.ids);
  result.log_probs = std::move(best.log_probs);
  return result;
}

}  // namespace florence2
