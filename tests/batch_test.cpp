// Batches, streaming, limits and answers under rules, through the public API on the demo model.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <span>
#include <string>
#include <thread>

#include "core/fnv.hpp"
#include "core/utf8.hpp"
#include "model/engine.hpp"
#include "model/florence2.hpp"
#include "model/prompt.hpp"
#include "tests/support.hpp"
#include "tests/temp_folder.hpp"

namespace florence2 {
namespace {

using namespace test;

const std::string kFolder = source_dir() + "/weights/demo";

const Model& demo() {
  static const Model model = [] {
    auto loaded = Model::load(kFolder, {.precision = "fp32"});
    REQUIRE(loaded);
    return std::move(loaded).value();
  }();
  return model;
}

struct Session {
  explicit Session(int pictures = 1) {
    std::vector<Picture> opened;
    for (int i = 0; i < pictures; ++i) {
      auto picture = Picture::open(kFolder + "/images/scene-" + std::to_string(i % 5 + 1) + ".png");
      REQUIRE(picture);
      if (i >= 5) std::reverse(picture->rgb.begin(), picture->rgb.end());  // turned around, colours swapped
      opened.push_back(std::move(picture).value());
    }
    std::vector<ImageView> views;
    for (const Picture& picture : opened) views.push_back(picture.view());
    auto encoded = runner.encode_batch(views);
    REQUIRE(encoded);
    images = std::move(encoded).value();
  }
  Runner runner = Runner::create(demo(), {.threads = 1}).value();
  std::vector<EncodedImage> images;
};

void check_same(const Item& a, const Item& b) {
  CHECK(a.label == b.label);
  CHECK(a.score == b.score);
  CHECK(a.label_score == b.label_score);
  CHECK(a.shape.index() == b.shape.index());
}

/// Everything but the timings, bit for bit.
void check_same(const TaskResult& a, const TaskResult& b) {
  CHECK(a.prompt == b.prompt);
  CHECK(a.text == b.text);
  CHECK(a.token_ids == b.token_ids);
  CHECK(a.log_probs == b.log_probs);
  CHECK(a.score == b.score);
  CHECK(a.confidence == b.confidence);
  CHECK(a.absent_classes == b.absent_classes);
  CHECK(a.finish_reason == b.finish_reason);
  CHECK(a.answer.kind == b.answer.kind);
  CHECK(a.answer.text == b.answer.text);
  CHECK(a.answer.score == b.answer.score);
  CHECK(a.answer.items_dropped == b.answer.items_dropped);
  REQUIRE(a.answer.items.size() == b.answer.items.size());
  for (std::size_t i = 0; i < a.answer.items.size(); ++i) check_same(a.answer.items[i], b.answer.items[i]);
}

/// Different tasks, pictures, lengths and rules.
std::vector<Request> mixed_requests(const std::vector<EncodedImage>& images) {
  std::vector<Request> requests;
  for (std::size_t i = 0; i < images.size(); ++i) {
    for (std::size_t t = i % 2; t < kTaskCount; t += 2) {
      const TaskInfo& info = all_tasks()[t];
      Request request{&images[i], info.task};
      if (info.input == TaskInput::text) request.options.text = i % 3 == 0 ? "red circle" : "a white sign and a heart";
      if (info.input == TaskInput::region) request.options.text = "<loc_100><loc_200><loc_700><loc_800>";
      request.options.generation.num_beams = 1 + static_cast<int>((i + t) % 4);
      request.options.generation.max_new_tokens = 10 + static_cast<int>(t) * 7;
      request.options.generation.well_formed = t % 3 == 0;
      requests.push_back(request);
    }
    requests.push_back({&images[i], Task::ocr, {}, "What does the image describe?"});
  }
  requests[3].options.generation = {.max_new_tokens = 30, .sample = true, .temperature = 1.5f, .seed = 7};
  return requests;
}

Result<TaskResult> alone(Runner& runner, const Request& request) {
  if (request.prompt.empty()) return runner.run(*request.image, request.task, request.options);
  return runner.run_prompt(*request.image, request.prompt, request.options);
}

TEST_CASE("a batch of mixed tasks on eight pictures gives what each request gives alone") {
  Session s(8);
  const std::vector<Request> requests = mixed_requests(s.images);
  const auto together = s.runner.run_batch(requests);
  REQUIRE(together);
  REQUIRE(together->size() == requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    INFO("request " << i << ": " << task_info(requests[i].task).token);
    const auto single = alone(s.runner, requests[i]);
    REQUIRE(single);
    REQUIRE((*together)[i]);
    check_same(*(*together)[i], *single);
  }
}

TEST_CASE("a request that fails leaves the others alone") {
  Session s;
  std::vector<Request> requests(6, Request{&s.images[0], Task::object_detection});
  requests[0].image = nullptr;
  requests[1].task = Task::phrase_grounding;  // without text
  requests[2].options.generation.num_beams = 99;
  requests[3].options.on_step = [](int tokens) { return tokens < 3; };
  requests[4].options.on_step = [](int) -> bool { throw std::bad_alloc(); };
  const auto results = s.runner.run_batch(requests);
  REQUIRE(results);
  const ErrorCode codes[] = {ErrorCode::argument, ErrorCode::argument, ErrorCode::argument, ErrorCode::cancelled,
                             ErrorCode::memory};
  for (std::size_t i = 0; i < std::size(codes); ++i) {
    INFO("request " << i);
    REQUIRE_FALSE((*results)[i]);
    CHECK((*results)[i].error().code == codes[i]);
  }
  CHECK((*results)[0].error().message == "the request has no image");
  const auto single = s.runner.run(s.images[0], Task::object_detection);
  REQUIRE(single);
  REQUIRE((*results)[5]);
  check_same(*(*results)[5], *single);
  CHECK(s.runner.run_batch({})->empty());
}

// --- Streams and limits -------------------------------------------------------------------------------

TEST_CASE("streamed pieces are whole characters, come early and add up to the text") {
  Session s;
  for (const int beams : {1, 3}) {
    for (const Task task : {Task::detailed_caption, Task::object_detection}) {
      std::string streamed;
      int steps = 0, first = 0;
      RunOptions options{.generation = {.num_beams = beams}};
      options.on_step = [&](int tokens) { return (steps = tokens) > 0; };
      options.on_text = [&](std::string_view piece) {
        CHECK_FALSE(piece.empty());
        CHECK_FALSE(find_invalid_utf8(piece));
        if (streamed.empty()) first = steps;
        streamed += piece;
        return true;
      };
      const auto result = s.runner.run(s.images[0], task, options);
      REQUIRE(result);
      CHECK(streamed == result->text);
      CHECK(first < steps);
    }
  }
}

TEST_CASE("a receiver that has enough cancels within the step") {
  Session s;
  int steps = 0;
  std::string streamed;
  RunOptions options;
  options.on_step = [&](int tokens) { return (steps = tokens) > 0; };
  options.on_text = [&](std::string_view piece) {
    streamed += piece;
    return streamed.size() < 10;
  };
  const auto result = s.runner.run(s.images[0], Task::detailed_caption, options);
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::cancelled);
  const int stopped = steps;
  options.on_text = {};
  REQUIRE(s.runner.run(s.images[0], Task::detailed_caption, options));
  CHECK(stopped < steps);
}

TEST_CASE("a deadline ends a run with an error") {
  Session s;
  RunOptions options{.deadline_ms = 1};
  options.on_step = [](int) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return true;
  };
  const auto late = s.runner.run(s.images[0], Task::caption, options);
  REQUIRE_FALSE(late);
  CHECK(late.error().code == ErrorCode::limit);
  CHECK(late.error().message.starts_with("deadline of 1 ms passed after "));
  CHECK(s.runner.run(s.images[0], Task::caption, {.deadline_ms = 1e9}));
  const auto negative = s.runner.run(s.images[0], Task::caption, {.deadline_ms = -1});
  REQUIRE_FALSE(negative);
  CHECK(negative.error().message == "deadline_ms must be 0 or more, not -1");
}

// --- Rules of generation ------------------------------------------------------------------------------

TEST_CASE("a seed draws the same answer again, another one draws others") {
  Session s;
  const auto draw = [&](std::uint64_t seed) {
    const GenerationOptions hot{.max_new_tokens = 20, .sample = true, .temperature = 3.0f, .top_k = 0, .seed = seed};
    const auto result = s.runner.run(s.images[0], Task::caption, {.generation = hot});
    REQUIRE(result);
    return result->token_ids;
  };
  CHECK(draw(1) == draw(1));
  CHECK(draw(1) != draw(2));
  const auto greedy = s.runner.run(s.images[0], Task::caption, {.generation = {.num_beams = 1}});
  const auto cold = s.runner.run(s.images[0], Task::caption, {.generation = {.sample = true, .top_k = 1}});
  REQUIRE(greedy);
  REQUIRE(cold);
  CHECK(cold->token_ids == greedy->token_ids);
}

TEST_CASE("the end waits for the least number of tokens") {
  Session s;
  for (const int beams : {1, 3}) {
    const auto result =
        s.runner.run(s.images[0], Task::region_proposal, {.generation = {.num_beams = beams, .min_new_tokens = 60}});
    REQUIRE(result);
    CHECK(result->log_probs.size() >= 60);
  }
}

TEST_CASE("new options out of range are named with their range") {
  struct Row {
    GenerationOptions options;
    std::string message;
  };
  const Row row = GENERATE_COPY(values<Row>({
      {{.num_beams = 3, .sample = true}, "num_beams must be 1 when sampling, not 3"},
      {{.min_new_tokens = -1}, "min_new_tokens must be 0…1000000, not -1"},
      {{.repetition_penalty = 0.0f}, "repetition_penalty must be 0.001…100, not 0"},
      {{.sample = true, .temperature = 0.0f}, "temperature must be above 0 and at most 100, not 0"},
      {{.sample = true, .temperature = std::nanf("")}, "temperature must be above 0 and at most 100, not nan"},
      {{.sample = true, .top_k = -1}, "top_k must be 0…1000000, not -1"},
      {{.sample = true, .top_p = 1.5f}, "top_p must be above 0 and at most 1, not 1.5"},
  }));
  Session s;
  const auto result = s.runner.run(s.images[0], Task::caption, {.generation = row.options});
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::argument);
  CHECK(result.error().message == row.message);
}

TEST_CASE("classes limit the labels, and those that are not there are reported") {
  Session s;
  const std::vector<std::string> classes = {"sign", "white hexagon", "hexagon", "zebra crossing"};
  for (const Task task : {Task::object_detection, Task::open_vocabulary_detection, Task::phrase_grounding}) {
    for (const int beams : {1, 3}) {
      INFO(task_info(task).token << ", beams " << beams);
      const auto result = s.runner.run(s.images[0], task, {.generation = {.num_beams = beams}, .classes = classes});
      REQUIRE(result);
      std::set<std::string> found(result->absent_classes.begin(), result->absent_classes.end());
      for (const Item& item : result->answer.items) {
        CHECK(std::find(classes.begin(), classes.end(), item.label) != classes.end());
        found.insert(item.label);
      }
      CHECK(found.size() == classes.size());
      CHECK(result->answer.items_dropped == 0);
    }
  }
  const auto detected = s.runner.run(s.images[0], Task::object_detection, {.classes = classes});
  REQUIRE(detected);
  CHECK_FALSE(detected->answer.items.empty());
  CHECK(detected->absent_classes.size() < classes.size());
}

TEST_CASE("classes are refused where they make no sense") {
  Session s;
  const auto message_of = [&](Task task, const std::string& name) {
    const auto result = s.runner.run(s.images[0], task, {.classes = {name}});
    REQUIRE_FALSE(result);
    CHECK(result.error().code == ErrorCode::argument);
    return result.error().message;
  };
  const std::string labelled = "classes need a task that answers with labelled boxes or polygons";
  for (const Task task : {Task::caption, Task::ocr_with_region, Task::region_proposal}) {
    CHECK(message_of(task, "sign") == labelled);
  }
  for (const std::string name : {"", " sign", "a<b", "a\nb"}) {
    CHECK(message_of(Task::object_detection, name) ==
          "class " + florence2::quoted(name) + " must be text without '<', line breaks or spaces at its ends");
  }
}

TEST_CASE("labels have scores of their own, and text answers one for all") {
  Session s;
  const auto boxes = s.runner.run(s.images[0], Task::object_detection);
  REQUIRE(boxes);
  REQUIRE_FALSE(boxes->answer.items.empty());
  // The demo's first label is the tokens between <s> and the first location.
  const auto& ids = boxes->token_ids;
  const std::int32_t location = demo().impl().tokenizer->location_base();
  float sum = 0;
  int count = 0;
  for (std::size_t i = 2; ids[i] < location; ++i, ++count) sum += boxes->log_probs[i - 1];
  CHECK(boxes->answer.items[0].label_score == Approx(std::exp(sum / static_cast<float>(count))));
  CHECK(boxes->answer.score == 0);
  const auto text = s.runner.run(s.images[0], Task::caption);
  REQUIRE(text);
  CHECK(text->answer.score == text->confidence);
  CHECK(text->confidence > 0);
  CHECK(text->confidence <= 1);
}

// --- Prompts and tasks of one's own -------------------------------------------------------------------

TEST_CASE("a free prompt's answer is read as asked") {
  Session s;
  const auto task = s.runner.run(s.images[0], Task::object_detection);
  const auto prompt = s.runner.run_prompt(s.images[0], "Locate the objects with category name in the image.",
                                          {.prompt_answer = AnswerKind::boxes});
  REQUIRE(task);
  REQUIRE(prompt);
  check_same(*task, *prompt);
}

TEST_CASE("tasks from a file are asked as the table's are") {
  const TempFolder folder;
  const std::string path = folder.write("tasks.json", R"({"tasks": [
    {"name": "find", "token": "<FIND>", "prompt": "Locate {input} in the image.", "input": "text", "answer": "boxes"},
    {"name": "say", "token": "<SAY>", "prompt": "What does the image describe?", "description": "one sentence"}]})");
  const auto tasks = load_tasks(path);
  REQUIRE(tasks);
  REQUIRE(tasks->size() == 2);
  CHECK((*tasks)[0].answer == AnswerKind::boxes);
  CHECK((*tasks)[1].description == "one sentence");
  Session s;
  const auto mine = s.runner.run(s.images[0], (*tasks)[0], {.text = "white hexagon"});
  const auto theirs = s.runner.run(s.images[0], Task::open_vocabulary_detection, {.text = "white hexagon"});
  REQUIRE(mine);
  REQUIRE(theirs);
  CHECK(mine->token_ids == theirs->token_ids);
  CHECK(mine->answer.items.size() == theirs->answer.items.size());
  const auto missing = s.runner.run(s.images[0], (*tasks)[0]);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().message == "task <FIND> needs text: --text \"…\"");
}

TEST_CASE("task files that cannot be are refused by name of what is wrong") {
  struct Row {
    std::string json, message;
  };
  const Row row = GENERATE(values<Row>({
      {"[]", "expected an object with the list \"tasks\""},
      {R"({"tasks": [3]})", "tasks[0]: expected an object, found a number"},
      {R"({"tasks": [{"name": "a", "token": "<A>"}]})", "tasks[0].prompt is missing or empty"},
      {R"({"tasks": [{"name": 1}]})", "tasks[0].name must be a string, not a number"},
      {R"({"tasks": [{"name": "a", "token": "<A>", "prompt": "p", "answer": "box"}]})",
       "tasks[0].answer must be one of text, boxes, quads, polygons, boxes_or_polygons, not \"box\""},
      {R"({"tasks": [{"name": "a", "token": "<A>", "prompt": "p", "input": "text"}]})",
       "tasks[0].prompt must hold \"{input}\" exactly when \"input\" is text or region"},
      {R"({"tasks": [{"nmae": "a"}]})",
       "tasks[0]: unknown member \"nmae\"; known: name, token, prompt, answer, input, description"},
      {R"({"tasks": [{"name": "a", "token": "<A>", "prompt": "p"}, {"name": "b", "token": "<A>", "prompt": "q"}]})",
       "tasks[1]: token \"<A>\" is there twice"},
  }));
  const TempFolder folder;
  const std::string path = folder.write("tasks.json", row.json);
  const auto tasks = load_tasks(path);
  REQUIRE_FALSE(tasks);
  CHECK(tasks.error().code == ErrorCode::data);
  CHECK(tasks.error().message == row.message);
  CHECK(tasks.error().where == path);
  CHECK(load_tasks("/nonexistent.json").error().code == ErrorCode::not_found);
}

TEST_CASE("the shipped task files load") {
  for (const char* name : {"promptgen.json", "docvqa.json"}) {
    const auto tasks = load_tasks(source_dir() + "/weights/tasks/" + name);
    INFO(name << ": " << (tasks ? "" : tasks.error().text()));
    REQUIRE(tasks);
    CHECK_FALSE(tasks->empty());
  }
}

// --- Encoded images as files --------------------------------------------------------------------------

TEST_CASE("an encoded image comes back equal from its file") {
  Session s(2);
  const TempFolder folder;
  const std::string path = folder.file("scene.fl2");
  REQUIRE(s.images[0].save(path));
  CHECK(EncodedImage().save(folder.file("empty.fl2")).error().code == ErrorCode::argument);
  const auto loaded = EncodedImage::load(path);
  REQUIRE(loaded);
  CHECK(*loaded == s.images[0]);
  CHECK_FALSE(*loaded == s.images[1]);
  CHECK(loaded->tokens() == demo().info().image_tokens);
  CHECK(loaded->dim() == demo().info().d_model);
  const auto asked = s.runner.run(*loaded, Task::caption);
  const auto before = s.runner.run(s.images[0], Task::caption);
  REQUIRE(asked);
  REQUIRE(before);
  CHECK(asked->token_ids == before->token_ids);
}

/// What `image` is as a file.
std::string file_of(const EncodedImage& image) {
  const TempFolder folder;
  const std::string path = folder.file("scene.fl2");
  REQUIRE(image.save(path));
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST_CASE("an image that other vision weights encoded is refused") {
  Session s;
  const TempFolder folder;
  std::string bytes = file_of(s.images[0]);
  bytes[28] ^= 1;  // the id in the header
  const std::size_t size = bytes.size() - sizeof(std::uint64_t);
  const std::uint64_t sum = fnv1a(kFnvStart, std::as_bytes(std::span(bytes).first(size)));
  std::memcpy(bytes.data() + size, &sum, sizeof sum);
  const auto image = EncodedImage::load(folder.write("other.fl2", bytes));
  REQUIRE(image);
  CHECK(image->vision_id() == (s.images[0].vision_id() ^ 1));
  const auto answer = s.runner.run(*image, Task::caption);
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == ErrorCode::argument);
  CHECK(answer.error().message ==
        "the image was encoded by a model with other vision weights; encode it with this one");
}

TEST_CASE("damaged files of encoded images are refused") {
  Session s;
  const TempFolder folder;
  const std::string whole = file_of(s.images[0]);
  const auto refusal = [&](std::string bytes) {
    const auto loaded = EncodedImage::load(folder.write("damaged.fl2", bytes));
    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().code == ErrorCode::data);
    return loaded.error().message;
  };
  CHECK(refusal("") == "not an encoded image");
  CHECK(refusal(std::string(100, 'x')) == "not an encoded image");
  CHECK(
      refusal(whole.substr(0, whole.size() - 4)).ends_with(" bytes, the file has " + std::to_string(whole.size() - 4)));
  std::string changed = whole;
  changed[changed.size() / 2] ^= 1;
  CHECK(refusal(changed) == "encoded image is damaged (checksum)");
  changed = whole;
  changed[8] = 9;
  CHECK(refusal(changed) == "encoded image of format version 9, this build reads version 2");
  changed = whole;
  changed[23] = 0x7f;  // tokens beyond all bounds
  CHECK(refusal(changed) == "encoded image with sizes that cannot be");
  CHECK(EncodedImage::load(folder.file("none")).error().code == ErrorCode::not_found);
  CHECK(s.images[0].save(folder.file("no/such/folder")).error().code == ErrorCode::cannot_create);
}

}  // namespace
}  // namespace florence2
