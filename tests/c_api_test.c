/* The C API on the demo checkpoint, from C99: what goes in, what comes out, what is refused with which words. */
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "model/florence2.h"
#include "tests/c_check.h"

#define DEMO FLORENCE2_SOURCE_DIR "/weights/demo"
#define SCENE DEMO "/images/scene-1.png"
#define CAPTION "A red sign, a white hexagon and a yellow heart on a lavender background."

typedef struct Session {
  fl2_model* model;
  fl2_runner* runner;
  fl2_picture* picture;
  fl2_image* image;
} Session;

static Session open_session(void) {
  Session s = {NULL, NULL, NULL, NULL};
  CHECK(fl2_model_load(DEMO, NULL, &s.model) == FL2_OK);
  CHECK(fl2_runner_create(s.model, 1, &s.runner) == FL2_OK);
  CHECK(fl2_picture_open(SCENE, NULL, &s.picture) == FL2_OK);
  CHECK(fl2_encode_picture(s.runner, s.picture, &s.image) == FL2_OK);
  return s;
}

static void close_session(Session s) {
  fl2_image_free(s.image);
  fl2_picture_free(s.picture);
  fl2_runner_free(s.runner);
  fl2_model_free(s.model);
}

static fl2_run_options default_options(void) {
  fl2_run_options options;
  fl2_run_options_init(&options, sizeof options);
  return options;
}

static void test_version_and_tasks(void) {
  CHECK(strchr(fl2_version(), '.') != NULL);
  CHECK(strstr(fl2_build_description(), "instruction sets built in:") != NULL);
  fl2_task_info info = {.size = sizeof info};
  CHECK(fl2_task_describe(FL2_OBJECT_DETECTION, &info) == FL2_OK);
  CHECK_TEXT(info.name, "od");
  CHECK_TEXT(info.token, "<OD>");
  CHECK_TEXT(info.prompt, "Locate the objects with category name in the image.");
  CHECK(info.answer == FL2_ANSWER_BOXES);
  CHECK(info.input == FL2_INPUT_NONE);
  CHECK(fl2_task_describe(FL2_OCR_WITH_REGION, &info) == FL2_OK);
  CHECK_TEXT(info.name, "ocr_with_region");
  fl2_task task = FL2_OCR;
  CHECK(fl2_task_parse("<Region_To_OCR>", &task) == FL2_OK);
  CHECK(task == FL2_REGION_TO_OCR);
  CHECK(fl2_task_parse("no such task", &task) == FL2_ERROR_ARGUMENT);
  CHECK(strstr(fl2_last_error(), "no such task") != NULL);
  CHECK_FAILS(fl2_task_describe(99, &info), FL2_ERROR_ARGUMENT, "task must be 0…14, not 99");
}

static void test_model(const fl2_model* model) {
  fl2_model_info info = {.size = sizeof info};
  CHECK(fl2_model_describe(model, &info) == FL2_OK);
  CHECK_TEXT(info.directory, DEMO);
  CHECK_TEXT(info.layout, "hf");
  CHECK_TEXT(info.storage, "F16");
  CHECK(info.d_model == 128);
  CHECK(info.image_side == 256);
  CHECK(info.tied_head == 1);
  CHECK(info.warning_count == 0);
  CHECK(fl2_model_warning(model, 0) == NULL);

  fl2_model* other = NULL;
  CHECK(fl2_model_load("/no/such/folder", NULL, &other) == FL2_ERROR_NOT_FOUND);
  CHECK(strstr(fl2_last_error(), "/no/such/folder") != NULL);
  fl2_model_options options;
  fl2_model_options_init(&options, sizeof options);
  options.precision = "int3";
  CHECK(fl2_model_load(DEMO, &options, &other) == FL2_ERROR_ARGUMENT);
  CHECK(strstr(fl2_last_error(), "int3") != NULL);
  const fl2_adapter adapter = {sizeof adapter, "/no/such/adapter", 1};
  fl2_model_options_init(&options, sizeof options);
  options.adapters = &adapter;
  options.adapter_count = 1;
  CHECK(fl2_model_load(DEMO, &options, &other) == FL2_ERROR_NOT_FOUND);
  CHECK(strstr(fl2_last_error(), "/no/such/adapter") != NULL);
  options.adapter_count = -3;
  CHECK_FAILS(fl2_model_load(DEMO, &options, &other), FL2_ERROR_ARGUMENT,
              "adapter_count must not be negative, found -3");
  CHECK(other == NULL);
}

static void test_picture(const fl2_picture* picture) {
  CHECK(fl2_picture_width(picture) > 0);
  CHECK(fl2_picture_height(picture) > 0);
  CHECK_TEXT(fl2_picture_format(picture), "PNG");
  CHECK(fl2_picture_frames(picture) == 1);
  CHECK(fl2_picture_warning_count(picture) == 0);
  CHECK(fl2_picture_warning(picture, 0) == NULL);

  const char pgm[] = "P5 2 1 255\n\x07\x09";
  fl2_picture* decoded = NULL;
  CHECK(fl2_picture_decode(pgm, sizeof pgm - 1, "two.pgm", NULL, &decoded) == FL2_OK);
  CHECK(fl2_picture_width(decoded) == 2);
  CHECK(memcmp(fl2_picture_rgb(decoded), "\x07\x07\x07\x09\x09\x09", 6) == 0);
  fl2_picture_free(decoded);

  fl2_picture_options options;
  fl2_picture_options_init(&options, sizeof options);
  CHECK(options.scale_grey16 == 1);
  options.max_pixels = 1;
  CHECK(fl2_picture_decode(pgm, sizeof pgm - 1, "two.pgm", &options, &decoded) == FL2_ERROR_LIMIT);
  CHECK(strstr(fl2_last_error(), "two.pgm") != NULL);
  CHECK(fl2_picture_open("/no/such/picture.png", NULL, &decoded) == FL2_ERROR_NOT_FOUND);
}

static void test_boxes(Session s) {
  fl2_result* result = NULL;
  CHECK(fl2_run(s.runner, s.image, FL2_OBJECT_DETECTION, NULL, &result) == FL2_OK);
  CHECK(fl2_result_kind(result) == FL2_ANSWER_BOXES);
  CHECK_TEXT(fl2_result_text(result), "");
  CHECK(fl2_result_item_count(result) == 3);
  CHECK(fl2_result_items_dropped(result) == 0);
  fl2_item item = {.size = sizeof item};
  CHECK(fl2_result_item(result, 0, &item) == FL2_OK);
  CHECK_TEXT(item.label, "sign");
  CHECK(item.shape == FL2_SHAPE_BOX);
  CHECK(item.point_count == 2);
  CHECK(item.polygon_count == 0);
  CHECK(item.xy[0] < item.xy[2]);
  CHECK(item.xy[1] < item.xy[3]);
  CHECK(item.xy[3] <= (float)fl2_picture_height(s.picture));
  CHECK(item.score > 0 && item.score <= 1);
  CHECK_FAILS(fl2_result_item(result, 3, &item), FL2_ERROR_ARGUMENT, "index must be 0…2, not 3");

  fl2_result_info info = {.size = sizeof info};
  CHECK(fl2_result_describe(result, &info) == FL2_OK);
  CHECK_TEXT(info.prompt, "Locate the objects with category name in the image.");
  CHECK(strncmp(info.text, "sign<loc_", 9) == 0);
  CHECK(info.complete == 1);
  CHECK(info.token_count > 15);
  CHECK(info.token_ids[0] == 2);
  CHECK(info.token_ids[info.token_count - 1] == 2);
  CHECK(info.score < 0);
  CHECK(info.vision_ms > 0 && info.generate_ms > 0);
  fl2_result_free(result);
}

static void test_quads_and_polygons(Session s) {
  fl2_result* result = NULL;
  fl2_item item = {.size = sizeof item};
  CHECK(fl2_run(s.runner, s.image, FL2_OCR_WITH_REGION, NULL, &result) == FL2_OK);
  CHECK(fl2_result_kind(result) == FL2_ANSWER_QUADS);
  CHECK(fl2_result_item(result, 0, &item) == FL2_OK);
  CHECK(item.shape == FL2_SHAPE_QUAD);
  CHECK(item.point_count == 4);
  CHECK(fl2_result_line_count(result) == 1);
  fl2_text_line line = {.size = sizeof line};
  CHECK(fl2_result_line(result, 0, &line) == FL2_OK);
  CHECK_TEXT(line.text, item.label);
  CHECK(line.item_count == 1 && line.items[0] == 0);
  CHECK(line.box[0] < line.box[2]);
  fl2_result_free(result);

  fl2_run_options options = default_options();
  options.text = "red sign";
  CHECK(fl2_run(s.runner, s.image, FL2_REFERRING_SEGMENTATION, &options, &result) == FL2_OK);
  CHECK(fl2_result_item(result, 0, &item) == FL2_OK);
  CHECK(item.shape == FL2_SHAPE_POLYGONS);
  CHECK(item.polygon_count >= 1);
  int points = 0;
  for (int i = 0; i < item.polygon_count; ++i) points += item.polygon_points[i];
  CHECK(points == item.point_count);
  fl2_result_free(result);
}

static void test_region(Session s) {
  fl2_run_options options = default_options();
  const float region[] = {138, 247, 198, 300};
  options.region = region;
  fl2_result* result = NULL;
  CHECK(fl2_run(s.runner, s.image, FL2_REGION_TO_CATEGORY, &options, &result) == FL2_OK);
  CHECK(strncmp(fl2_result_text(result), "heart", 5) == 0);
  fl2_result_free(result);
  CHECK_FAILS(fl2_run(s.runner, s.image, FL2_CAPTION, &options, &result), FL2_ERROR_ARGUMENT,
              "task <CAPTION> takes no region");
}

typedef struct Heard {
  char text[512];
  int steps;
  int pieces_left; /* on_text cancels when there are none */
} Heard;

static int hear_step(int tokens, void* user) {
  Heard* heard = user;
  CHECK(tokens > heard->steps);
  heard->steps = tokens;
  return 1;
}

static int hear_text(const char* text, void* user) {
  Heard* heard = user;
  strncat(heard->text, text, sizeof heard->text - strlen(heard->text) - 1);
  return heard->pieces_left-- > 0;
}

static void test_streaming(Session s) {
  Heard heard = {"", 0, 1000};
  fl2_run_options options = default_options();
  options.on_step = hear_step;
  options.on_text = hear_text;
  options.user = &heard;
  fl2_result* result = NULL;
  CHECK(fl2_run(s.runner, s.image, FL2_CAPTION, &options, &result) == FL2_OK);
  CHECK_TEXT(heard.text, CAPTION);
  CHECK_TEXT(fl2_result_text(result), CAPTION);
  CHECK(heard.steps > 10);
  fl2_result_free(result);

  heard = (Heard){"", 0, 2};
  options.num_beams = 1; /* more beams agree late on so short a text */
  result = NULL;
  CHECK(fl2_run(s.runner, s.image, FL2_CAPTION, &options, &result) == FL2_ERROR_CANCELLED);
  CHECK(result == NULL);
  CHECK(strlen(heard.text) < strlen(CAPTION));

  options = default_options();
  options.deadline_ms = 1e-6;
  CHECK(fl2_run(s.runner, s.image, FL2_CAPTION, &options, &result) == FL2_ERROR_LIMIT);
}

static void test_generation_options(Session s) {
  fl2_run_options options = default_options();
  CHECK(isnan(options.length_penalty));
  CHECK(options.num_beams == FL2_UNSET);
  CHECK(options.top_k == 50);
  fl2_result* result = NULL;
  fl2_result_info info = {.size = sizeof info};
  options.num_beams = 1;
  options.max_new_tokens = 5;
  CHECK(fl2_run(s.runner, s.image, FL2_CAPTION, &options, &result) == FL2_OK);
  CHECK(fl2_result_describe(result, &info) == FL2_OK);
  CHECK(info.complete == 0);
  CHECK(info.token_count == 6);
  fl2_result_free(result);

  /* The same seed draws the same tokens. */
  int32_t drawn[2][64];
  options = default_options();
  options.sample = 1;
  options.temperature = 3;
  options.seed = 7;
  options.max_new_tokens = 20;
  for (int i = 0; i < 2; ++i) {
    CHECK(fl2_run(s.runner, s.image, FL2_CAPTION, &options, &result) == FL2_OK);
    CHECK(fl2_result_describe(result, &info) == FL2_OK);
    CHECK(info.token_count <= 21);
    memset(drawn[i], 0, sizeof drawn[i]);
    memcpy(drawn[i], info.token_ids, (size_t)info.token_count * sizeof(int32_t));
    fl2_result_free(result);
  }
  CHECK(memcmp(drawn[0], drawn[1], sizeof drawn[0]) == 0);

  options = default_options();
  options.num_beams = 17;
  CHECK(fl2_run(s.runner, s.image, FL2_CAPTION, &options, &result) == FL2_ERROR_ARGUMENT);
  CHECK(strstr(fl2_last_error(), "1…16, not 17") != NULL);
  options = default_options();
  options.compat = 3;
  CHECK_FAILS(fl2_run(s.runner, s.image, FL2_CAPTION, &options, &result), FL2_ERROR_ARGUMENT,
              "compat must be 0…2, not 3");
}

static void test_classes(Session s) {
  const char* const classes[] = {"heart", "umbrella"};
  fl2_run_options options = default_options();
  options.classes = classes;
  options.class_count = 2;
  fl2_result* result = NULL;
  CHECK(fl2_run(s.runner, s.image, FL2_OPEN_VOCABULARY_DETECTION, &options, &result) == FL2_OK);
  fl2_item item = {.size = sizeof item};
  for (int i = 0; i < fl2_result_item_count(result); ++i) {
    CHECK(fl2_result_item(result, i, &item) == FL2_OK);
    CHECK(strcmp(item.label, "heart") == 0 || strcmp(item.label, "umbrella") == 0);
  }
  fl2_result_info info = {.size = sizeof info};
  CHECK(fl2_result_describe(result, &info) == FL2_OK);
  CHECK(info.absent_class_count < 2 || fl2_result_item_count(result) == 0);
  fl2_result_free(result);
}

static void test_prompts(Session s) {
  fl2_result* result = NULL;
  fl2_run_options options = default_options();
  options.prompt_answer = FL2_ANSWER_BOXES;
  const char* prompt = "Locate the objects with category name in the image.";
  CHECK(fl2_run_prompt(s.runner, s.image, prompt, &options, &result) == FL2_OK);
  CHECK(fl2_result_item_count(result) == 3);
  fl2_result_free(result);

  const fl2_task_info own = {.size = sizeof own, .token = "<MINE>", .prompt = prompt, .answer = FL2_ANSWER_BOXES};
  CHECK(fl2_run_custom(s.runner, s.image, &own, NULL, &result) == FL2_OK);
  CHECK(fl2_result_item_count(result) == 3);
  fl2_result_free(result);
}

static void test_batch(Session s) {
  fl2_run_options region_given = default_options();
  const float region[] = {138, 247, 198, 300};
  region_given.region = region;
  const fl2_request requests[] = {
      {sizeof(fl2_request), s.image, FL2_CAPTION, NULL, NULL},
      {sizeof(fl2_request), s.image, FL2_CAPTION, NULL, &region_given},
      {sizeof(fl2_request), s.image, FL2_REGION_TO_CATEGORY, NULL, &region_given},
  };
  fl2_batch* batch = NULL;
  CHECK(fl2_run_batch(s.runner, requests, 3, &batch) == FL2_OK);
  CHECK(fl2_batch_count(batch) == 3);
  CHECK(fl2_batch_status(batch, 0) == FL2_OK);
  CHECK_TEXT(fl2_batch_error(batch, 0), "");
  CHECK_TEXT(fl2_result_text(fl2_batch_result(batch, 0)), CAPTION);
  CHECK(fl2_batch_status(batch, 1) == FL2_ERROR_ARGUMENT);
  CHECK_TEXT(fl2_batch_error(batch, 1), "task <CAPTION> takes no region");
  CHECK(fl2_batch_result(batch, 1) == NULL);
  CHECK(strncmp(fl2_result_text(fl2_batch_result(batch, 2)), "heart", 5) == 0);
  CHECK(fl2_batch_status(batch, 3) == FL2_ERROR_ARGUMENT);
  CHECK(fl2_batch_result(batch, 3) == NULL);
  fl2_batch_free(batch);
}

static void test_batch_of_bad_requests(Session s) {
  fl2_run_options wrong_compat = default_options();
  wrong_compat.compat = 9;
  fl2_request requests[] = {
      {sizeof(fl2_request), s.image, FL2_CAPTION, NULL, &wrong_compat},
      {sizeof(fl2_request), s.image, FL2_CAPTION, NULL, NULL},
      {sizeof(fl2_request), s.image, 99, NULL, NULL},
      {sizeof(fl2_request), NULL, FL2_CAPTION, NULL, NULL},
  };
  fl2_batch* batch = NULL;
  CHECK(fl2_run_batch(s.runner, requests, 4, &batch) == FL2_OK);
  CHECK(fl2_batch_count(batch) == 4);
  CHECK(fl2_batch_status(batch, 0) == FL2_ERROR_ARGUMENT);
  CHECK_TEXT(fl2_batch_error(batch, 0), "compat must be 0…2, not 9");
  CHECK(fl2_batch_result(batch, 0) == NULL);
  CHECK_TEXT(fl2_result_text(fl2_batch_result(batch, 1)), CAPTION);
  CHECK_TEXT(fl2_batch_error(batch, 2), "task must be 0…14, not 99");
  CHECK_TEXT(fl2_batch_error(batch, 3), "a request's image is NULL");
  fl2_batch_free(batch);
  requests[0].size = 1u << 20; /* nobody can tell where the others stand */
  CHECK(fl2_run_batch(s.runner, requests, 4, &batch) == FL2_ERROR_ARGUMENT);
}

static void test_images(Session s, const char* file) {
  const fl2_pixels pixels = {sizeof pixels, fl2_picture_rgb(s.picture), fl2_picture_width(s.picture),
                             fl2_picture_height(s.picture), (ptrdiff_t)3 * fl2_picture_width(s.picture)};
  const fl2_pixels both[] = {pixels, pixels};
  fl2_image* images[2] = {NULL, NULL};
  CHECK(fl2_encode_batch(s.runner, both, 2, images) == FL2_OK);
  fl2_image* alone = NULL;
  CHECK(fl2_encode(s.runner, &pixels, &alone) == FL2_OK);
  CHECK(fl2_image_equal(images[0], s.image));
  CHECK(fl2_image_equal(images[1], alone));
  CHECK(fl2_image_width(alone) == fl2_picture_width(s.picture));
  CHECK(fl2_image_height(alone) == fl2_picture_height(s.picture));
  CHECK(fl2_image_tokens(alone) == 65);
  CHECK(fl2_image_dim(alone) == 128);
  CHECK(isfinite(fl2_image_features(alone)[65 * 128 - 1]));
  fl2_image_free(images[0]);
  fl2_image_free(images[1]);

  fl2_image* loaded = NULL;
  CHECK(fl2_image_save(alone, file) == FL2_OK);
  CHECK(fl2_image_load(file, &loaded) == FL2_OK);
  CHECK(fl2_image_equal(loaded, alone));
  fl2_image_free(loaded);
  fl2_image_free(alone);
  CHECK(remove(file) == 0);
  CHECK(fl2_image_load(file, &loaded) == FL2_ERROR_NOT_FOUND);

  fl2_pixels narrow = pixels;
  narrow.row_bytes = 1;
  CHECK(fl2_encode(s.runner, &narrow, &alone) == FL2_ERROR_ARGUMENT);
}

static void test_edges(void) {
  fl2_result* result = NULL;
  const char* text = "car<loc_100><loc_200><loc_300><loc_400>";
  CHECK(fl2_parse_answer(FL2_OBJECT_DETECTION, text, 1000, 500, FL2_COMPAT_NONE, &result) == FL2_OK);
  fl2_item item = {.size = sizeof item};
  CHECK(fl2_result_item(result, 0, &item) == FL2_OK);
  CHECK_TEXT(item.label, "car");
  CHECK(item.xy[0] == 100.5f && item.xy[3] == 200.25f);
  fl2_result_free(result);
  CHECK(fl2_parse_prompt_answer(FL2_ANSWER_TEXT, "words", 9, 9, FL2_COMPAT_HF, &result) == FL2_OK);
  CHECK_TEXT(fl2_result_text(result), "words");
  fl2_result_free(result);

  char* string = NULL;
  CHECK(fl2_build_prompt(FL2_CAPTION, NULL, FL2_COMPAT_NONE, &string) == FL2_OK);
  CHECK_TEXT(string, "What does the image describe?");
  fl2_string_free(string);
  const float region[] = {0, 0, 500, 250};
  CHECK(fl2_region_tokens(region, 1000, 500, &string) == FL2_OK);
  CHECK_TEXT(string, "<loc_0><loc_0><loc_500><loc_500>");
  fl2_string_free(string);
  CHECK(fl2_region_tokens(region, 100, 50, &string) == FL2_ERROR_ARGUMENT);
}

static void test_null_and_sizes(Session s) {
  fl2_result* result = NULL;
  CHECK_FAILS(fl2_run(NULL, s.image, FL2_CAPTION, NULL, &result), FL2_ERROR_ARGUMENT, "runner is NULL");
  CHECK_FAILS(fl2_run(s.runner, NULL, FL2_CAPTION, NULL, &result), FL2_ERROR_ARGUMENT, "image is NULL");
  CHECK_FAILS(fl2_run(s.runner, s.image, FL2_CAPTION, NULL, NULL), FL2_ERROR_ARGUMENT, "result is NULL");
  CHECK_FAILS(fl2_model_load(NULL, NULL, &s.model), FL2_ERROR_ARGUMENT, "directory is NULL");
  fl2_model_free(NULL);
  fl2_runner_free(NULL);
  fl2_picture_free(NULL);
  fl2_image_free(NULL);
  fl2_result_free(NULL);
  fl2_batch_free(NULL);
  fl2_tasks_free(NULL);
  fl2_string_free(NULL);

  /* A program built against a shorter struct works: what it does not know keeps its default, and is not written. */
  fl2_run_options options = default_options();
  options.size = offsetof(fl2_run_options, num_beams);
  options.num_beams = 99;
  CHECK(fl2_run(s.runner, s.image, FL2_CAPTION, &options, &result) == FL2_OK);
  fl2_result_free(result);
  fl2_task_info info = {.size = offsetof(fl2_task_info, prompt), .prompt = "mine"};
  CHECK(fl2_task_describe(FL2_OCR, &info) == FL2_OK);
  CHECK_TEXT(info.token, "<OCR>");
  CHECK_TEXT(info.prompt, "mine");
  info.size = 0;
  CHECK_FAILS(fl2_task_describe(FL2_OCR, &info), FL2_ERROR_ARGUMENT, "info has size 0: set it to its sizeof");
  options.size = sizeof options + 8;
  CHECK(fl2_run(s.runner, s.image, FL2_CAPTION, &options, &result) == FL2_ERROR_ARGUMENT);
  CHECK(strstr(fl2_last_error(), "run options has size") != NULL);
}

int main(int count, char** arguments) {
  /* Where it is installed: its small I has no dot, which no name may follow. */
  if (setlocale(LC_ALL, "tr_TR.UTF-8") == NULL) setlocale(LC_ALL, "tr_TR.ISO-8859-9");
  Session s = open_session();
  if (failures != 0) return report();
  test_version_and_tasks();
  test_model(s.model);
  test_picture(s.picture);
  test_boxes(s);
  test_quads_and_polygons(s);
  test_region(s);
  test_streaming(s);
  test_generation_options(s);
  test_classes(s);
  test_prompts(s);
  test_batch(s);
  test_batch_of_bad_requests(s);
  test_images(s, count > 1 ? arguments[1] : "c_api_test.image");
  test_edges();
  test_null_and_sizes(s);
  close_session(s);
  return report();
}
