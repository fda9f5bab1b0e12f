// Florence-2 in C++: load a checkpoint, encode a picture once, ask it any of the fifteen tasks.
//
//   auto model = florence2::Model::load("Florence-2-base");
//   if (!model) return report(model.error());
//   auto runner = florence2::Runner::create(*model);
//   auto picture = florence2::Picture::open("street.jpg");
//   auto image = runner->encode(picture->view());             // the vision tower runs once
//   auto boxes = runner->run(*image, florence2::Task::object_detection);
//   auto words = runner->run(*image, florence2::Task::caption);
//
// Nothing here prints, exits or aborts, and failures are values (core/result.hpp): what returns a Result or Status
// throws nothing. Of the rest parse_answer, text_lines, version, build_description and copies of values with strings
// may throw std::bad_alloc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/export.h"
#include "core/result.hpp"

namespace florence2 {

// --- Tasks and answers --------------------------------------------------------------------------------

enum class Task : std::uint8_t {
  ocr,
  ocr_with_region,
  caption,
  detailed_caption,
  more_detailed_caption,
  object_detection,
  dense_region_caption,
  region_proposal,
  phrase_grounding,
  referring_segmentation,
  region_to_segmentation,
  open_vocabulary_detection,
  region_to_category,
  region_to_description,
  region_to_ocr,
};
inline constexpr int kTaskCount = 15;

enum class AnswerKind : std::uint8_t { text, boxes, quads, polygons, boxes_or_polygons };
/// What a task takes besides the picture.
enum class TaskInput : std::uint8_t { none, text, region };

struct TaskInfo {
  Task task;
  std::string_view token;   ///< "<OD>"
  std::string_view prompt;  ///< sent to the model; "{input}" stands for the input
  TaskInput input;
  AnswerKind answer;
  std::string_view description;  ///< a few words for a help text
};

/// All tasks, in the order of the enum.
FLORENCE2_API std::span<const TaskInfo, kTaskCount> all_tasks();
inline const TaskInfo& task_info(Task task);
/// The task called "<OD>", "OD" or "od" (any case). Error argument, with the nearest name.
FLORENCE2_API Result<Task> parse_task_name(std::string_view name);

/// Pixels of the source picture; the origin is its top left corner.
struct Point {
  float x = 0, y = 0;
};
struct Box {
  float x0 = 0, y0 = 0, x1 = 0, y1 = 0;
};
using Quad = std::array<Point, 4>;  ///< clockwise from the top left, as the model wrote it
using Polygons = std::vector<std::vector<Point>>;

/// One thing that an answer names.
struct Item {
  std::string label;
  std::variant<Box, Quad, Polygons> shape;
  float score = 0;        ///< trust in where it is: exp of the mean log-probability of its location tokens, in (0, 1]
  float label_score = 0;  ///< trust in what it is: the same of its label's tokens; 0 without label. docs/scores.md
};

/// `kind` says what the task asks for; `items` is empty for text.
struct Answer {
  AnswerKind kind = AnswerKind::text;
  std::string text;         ///< the whole answer of text tasks
  std::vector<Item> items;  ///< in the order of the model's text
  int items_dropped = 0;    ///< incomplete location groups that were not turned into items
  float score = 0;          ///< of text answers: TaskResult::confidence; else 0
};

/// Whose post-processing and prompts to follow, quirks included. `none`: the repaired rules (README).
enum class Compat : std::uint8_t { none, hf, ms };

// --- Pictures -----------------------------------------------------------------------------------------

/// Interleaved 8-bit RGB, not owned. `row_bytes` >= 3 * width.
struct ImageView {
  const std::uint8_t* rgb = nullptr;
  int width = 0;
  int height = 0;
  std::ptrdiff_t row_bytes = 0;
};

struct PictureOptions {
  bool exif_rotate = false;      ///< apply the EXIF orientation (the reference does not)
  bool allow_truncated = false;  ///< keep what a file that ends early gave
  bool scale_grey16 = true;      ///< 16-bit grey: take the high byte; false clips at 255, as Pillow does
  std::int64_t max_pixels = 178'956'970;
  std::int64_t max_file_bytes = std::int64_t{256} << 20;
};

/// A decoded picture: 8-bit RGB without padding, as Pillow's convert("RGB") gives it.
class FLORENCE2_API Picture {
 public:
  /// Decodes JPEG, PNG, WebP, BMP, PNM or GIF (first frame). Errors: not_found, permission, data, limit, unsupported,
  /// io.
  static Result<Picture> open(const std::string& path, const PictureOptions& options = {});
  /// The same from memory; `name` is used in messages.
  static Result<Picture> decode(std::span<const std::byte> bytes, const std::string& name,
                                const PictureOptions& options = {});

  ImageView view() const { return {rgb.data(), width, height, std::ptrdiff_t{3} * width}; }

  int width = 0;
  int height = 0;
  int frames = 1;                     ///< in the file; the first one is used
  std::string format;                 ///< "JPEG", "PNG", …
  std::vector<std::string> warnings;  ///< one line each
  std::vector<std::uint8_t> rgb;      ///< [height][width][3]
};

// --- Model --------------------------------------------------------------------------------------------

/// A LoRA, rsLoRA or DoRA adapter in PEFT's layout, merged into the weights when they are loaded.
struct AdapterOptions {
  std::string directory = {};  ///< with adapter_config.json and adapter_model.safetensors (or .bin)
  float scale = 1;             ///< of the adapter's own strength
};

struct ModelOptions {
  std::string isa = {};        ///< kernel table by name; empty: $FLORENCE2_ISA, else the fastest
  int threads = 0;             ///< for loading; 0: all physical cores this process may use
  bool check_weights = false;  ///< refuse NaN and infinity
  /// "auto", "fp32", "bf16" or "int8"; or parts, as "vision=bf16,text=int8" (docs/precision.md).
  /// "fp32" gives the reference's answers token for token; "auto" is int8 on CPUs with vector instructions.
  std::string precision = "auto";
  std::vector<AdapterOptions> adapters = {};  ///< in this order
};

/// Error argument, saying what is allowed, when `precision` is not one of the forms of ModelOptions::precision.
FLORENCE2_API Status check_precision(std::string_view precision);

/// An adapter that was merged when the model was loaded.
struct AdapterInfo {
  std::string directory;
  float scale = 1;
  std::vector<std::string> modules;  ///< changed or replaced, named as in the adapter, sorted
};

/// What a checkpoint holds.
struct ModelInfo {
  std::string directory;
  std::string size_name;  ///< "base", "large" or "custom"
  std::string layout;     ///< "hf", "ms" or (seeded_model) "seeded"
  std::string storage;    ///< dtype of the weights: "F32", "F16", "BF16", "I8" (converted) or "mixed"
  std::string isa;
  std::string precision;  ///< in force: "fp32", "vision=bf16,text=int8", …
  std::int64_t parameters = 0;
  std::int64_t weight_bytes = 0;  ///< packed in memory
  int image_side = 0;
  int image_tokens = 0;
  int d_model = 0;
  int encoder_layers = 0;
  int decoder_layers = 0;
  int vocabulary = 0;
  int positions = 0;
  bool tied_head = true;
  std::vector<AdapterInfo> adapters;  ///< in the order of merging
  std::vector<std::string> warnings;
};

struct ModelImpl;

/// Immutable once loaded; copies share the weights, and threads may share one Model.
class FLORENCE2_API Model {
 public:
  /// Loads a folder with model.safetensors, config.json and tokenizer.json, in Microsoft's or Hugging Face's layout.
  static Result<Model> load(const std::string& directory, const ModelOptions& options = {});

  /// For the library itself: ModelImpl is not public.
  explicit Model(std::shared_ptr<const ModelImpl> impl) : impl_(std::move(impl)) {}

  const ModelInfo& info() const;
  const ModelImpl& impl() const { return *impl_; }

 private:
  std::shared_ptr<const ModelImpl> impl_;
};

// --- Asking -------------------------------------------------------------------------------------------

enum class EarlyStopping : std::uint8_t { yes, no, never };

/// Unset fields take the checkpoint's generation settings, then the reference's defaults.
struct GenerationOptions {
  std::optional<int> num_beams = {};        ///< 1 to 16; 1 is greedy
  std::optional<int> max_new_tokens = {};   ///< counts <s> and </s>; default 1024, cut to the position table
  std::optional<int> no_repeat_ngram = {};  ///< 0: off
  std::optional<float> length_penalty = {};
  std::optional<EarlyStopping> early_stopping = {};
  std::optional<int> min_new_tokens = {};        ///< no </s> before; counts like max_new_tokens
  std::optional<float> repetition_penalty = {};  ///< 0.001…100; 1: off. Divides the logits of earlier tokens (beams:
                                                 ///< multiplies their log-probabilities)
  bool sample = false;                           ///< draws each token; num_beams must be 1 (and then defaults to it)
  float temperature = 1.0f;                      ///< of the draw: the warpers work in this order, as the reference's
  int top_k = 50;                                ///< 0: off
  float top_p = 1.0f;                            ///< 1: off
  std::uint64_t seed = 0;                        ///< the same seed draws the same tokens
  /// Tasks that answer with locations: every group complete, boxes with ordered corners, nothing cut by the limit.
  bool well_formed = false;
};

struct RunOptions {
  std::string text = {};           ///< phrase, caption or "<loc_..>" x 4, by task
  std::optional<Box> region = {};  ///< pixels of the source picture, for tasks that take a region
  GenerationOptions generation = {};
  Compat compat = Compat::none;
  /// Called after each decode step with the number of tokens so far; false cancels (error cancelled).
  std::function<bool(int)> on_step = {};
  /// Labels that the answer may use, exactly as given; the answer is well formed then. For tasks that answer with
  /// labelled boxes or polygons. Open-vocabulary detection asks for all of them when `text` is empty.
  std::vector<std::string> classes = {};
  AnswerKind prompt_answer = AnswerKind::text;  ///< how run_prompt reads the answer
  /// Called with each piece of text that no later step can take back (with beams: on which all live beams agree), whole
  /// characters only; together the pieces are TaskResult::text. False cancels (error cancelled).
  std::function<bool(std::string_view)> on_text = {};
  double deadline_ms = 0;  ///< for prefill and generation; 0: none. Looked at after each step. Error limit
};

enum class FinishReason : std::uint8_t { stop, length };

/// Milliseconds.
struct Timings {
  double preprocess = 0, vision = 0, prefill = 0, generate = 0;
};

struct TaskResult {
  Answer answer;
  std::string prompt;                       ///< as sent to the model
  std::string text;                         ///< decoded, without <s> </s> <pad>, location tokens kept
  std::vector<std::int32_t> token_ids;      ///< from the start token to </s>
  std::vector<float> log_probs;             ///< one a generated token (token_ids without the first)
  float score = 0;                          ///< sum of log-probabilities / length^penalty
  float confidence = 0;                     ///< exp of the mean log-probability of the answer's tokens (docs/scores.md)
  std::vector<std::string> absent_classes;  ///< of RunOptions::classes, those that no item has as label
  FinishReason finish_reason = FinishReason::stop;
  Timings timings;
};

/// The vision tower's answer to one picture: a value that can be kept and asked any number of times, by any Runner of
/// the same model. Equal: same size and bit for bit the same features.
class FLORENCE2_API EncodedImage {
 public:
  int width() const { return width_; }
  int height() const { return height_; }
  std::span<const float> features() const { return features_; }  ///< [tokens, dim]
  int tokens() const { return tokens_; }
  int dim() const { return tokens_ == 0 ? 0 : static_cast<int>(features_.size()) / tokens_; }
  /// A number for what made it: the checkpoint's vision weights, in whatever form and precision, adapters, and how
  /// pixels are normalised. A model with another one refuses the image (error argument).
  std::uint32_t vision_id() const { return vision_id_; }
  const Timings& timings() const { return timings_; }

  /// Writes a file that any machine's load gives back equal; it appears under its name only when it is whole. Errors:
  /// cannot_create, io, argument (nothing was encoded).
  Status save(const std::string& path) const;
  /// Errors: not_found, permission, io, data (not such a file, another version, damaged).
  static Result<EncodedImage> load(const std::string& path);

  friend FLORENCE2_API bool operator==(const EncodedImage& a, const EncodedImage& b);

 private:
  friend class Runner;
  std::vector<float> features_;
  int tokens_ = 0;
  int width_ = 0, height_ = 0;
  std::uint32_t vision_id_ = 0;
  Timings timings_;
};

/// One question of a batch.
struct Request {
  const EncodedImage* image = nullptr;  ///< alive during the call
  Task task = Task::caption;
  RunOptions options = {};
  std::string prompt = {};  ///< not empty: sent as it is (run_prompt), and `task` is ignored
};

/// A task that the table lacks, for fine-tunes; from a file (load_tasks) or made by hand.
struct CustomTask {
  std::string name;    ///< for people, e.g. "tags"
  std::string token;   ///< "<GENERATE_TAGS>"
  std::string prompt;  ///< sent to the model; "{input}" stands for the input
  AnswerKind answer = AnswerKind::text;
  TaskInput input = TaskInput::none;
  std::string description = {};
};

/// Reads {"tasks": [{"name", "token", "prompt", "answer", "input", "description"}, …]}: "answer" one of text (default),
/// boxes, quads, polygons, boxes_or_polygons; "input" one of none (default), text, region. Errors: not_found,
/// permission, io, data with the task and the member.
FLORENCE2_API Result<std::vector<CustomTask>> load_tasks(const std::string& json_path);

struct RunnerOptions {
  int threads = 0;  ///< 0: all physical cores this process may use
};

struct RunnerImpl;

/// Owns the workspace and the KV cache; one call at a time may use it: another, from another thread or from a callback
/// of the first, is refused (error argument).
class FLORENCE2_API Runner {
 public:
  static Result<Runner> create(const Model& model, const RunnerOptions& options = {});
  Runner(Runner&&) noexcept;
  Runner& operator=(Runner&&) noexcept;
  ~Runner();

  Result<EncodedImage> encode(const ImageView& image);
  Result<TaskResult> run(const EncodedImage& image, Task task, const RunOptions& options = {});
  Result<TaskResult> run(const ImageView& image, Task task, const RunOptions& options = {});
  Result<TaskResult> run(const EncodedImage& image, const CustomTask& task, const RunOptions& options = {});
  /// Sends `prompt` as it is (for fine-tunes with prompts of their own); options.prompt_answer says how to read the
  /// answer.
  Result<TaskResult> run_prompt(const EncodedImage& image, std::string_view prompt, const RunOptions& options = {});

  Result<std::vector<EncodedImage>> encode_batch(std::span<const ImageView> images);
  /// One result a request, in their order. All are decoded together, so that each step reads the weights once; every
  /// answer is what it is alone (in fp32 bit for bit). A request that fails leaves the others alone.
  Result<std::vector<Result<TaskResult>>> run_batch(std::span<const Request> requests);

 private:
  explicit Runner(std::unique_ptr<RunnerImpl> impl);
  std::unique_ptr<RunnerImpl> impl_;
};

// --- The edges of the model, alone --------------------------------------------------------------------

/// Structured answer of decoded model text. Needs no weights. `width`, `height`: of the picture. A value that is no
/// task is read as text.
FLORENCE2_API Answer parse_answer(Task task, std::string_view text, int width, int height,
                                  Compat compat = Compat::none);

/// The same for a free prompt's answer.
FLORENCE2_API Answer parse_answer(AnswerKind kind, std::string_view text, int width, int height,
                                  Compat compat = Compat::none);

/// Prompt text of a task. `input`: text or location tokens. Errors: argument when text is not taken or, for
/// Compat::none alone, missing or not a region where one is needed (the references accept that).
FLORENCE2_API Result<std::string> build_prompt(Task task, std::string_view input, Compat compat = Compat::none);
/// The same for a task of one's own.
FLORENCE2_API Result<std::string> build_prompt(const CustomTask& task, std::string_view input);

/// The four location tokens of a region in pixels. Error argument: outside the picture, which has at least one pixel,
/// or corners out of order.
FLORENCE2_API Result<std::string> region_tokens(const Box& region, int width, int height);

/// Text regions on one line of the page.
struct TextLine {
  std::string text;        ///< the items' labels with spaces between
  std::vector<int> items;  ///< indices into the given items, in reading order
  Box box;                 ///< around them
  float score = 0;         ///< smallest label_score of the items
};

/// Items of an OCR answer in reading order (columns from left to right, lines from top to bottom, words from left to
/// right), gathered into lines. Every item stands in exactly one line.
FLORENCE2_API std::vector<TextLine> text_lines(std::span<const Item> items);

/// "0.1.0", and one line with commit, compiler and instruction sets.
FLORENCE2_API std::string version();
FLORENCE2_API std::string build_description();

inline const TaskInfo& task_info(Task task) { return all_tasks()[static_cast<std::size_t>(task)]; }

}  // namespace florence2
