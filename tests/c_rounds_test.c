/* 1,000 rounds of create, run and free, for LeakSanitizer. */
#include "model/florence2.h"
#include "tests/c_check.h"

#define DEMO FLORENCE2_SOURCE_DIR "/weights/demo"

static fl2_run_options short_answer(void) {
  fl2_run_options options;
  fl2_run_options_init(&options, sizeof options);
  options.num_beams = 1;
  options.max_new_tokens = 2;
  return options;
}

/* What one runner creates for one question; `image` is another runner's. */
static void run_round(const fl2_model* model, const fl2_image* image) {
  fl2_runner* runner = NULL;
  fl2_result* result = NULL;
  const fl2_run_options options = short_answer();
  CHECK(fl2_runner_create(model, 1, &runner) == FL2_OK);
  CHECK(fl2_run(runner, image, FL2_OBJECT_DETECTION, &options, &result) == FL2_OK);
  fl2_result_free(result);
  fl2_runner_free(runner);
}

/* A model from its folder to a hundred rounds, with a batch of which one half fails. */
static void model_round(void) {
  fl2_model* model = NULL;
  fl2_runner* runner = NULL;
  fl2_picture* picture = NULL;
  fl2_image* image = NULL;
  fl2_batch* batch = NULL;
  CHECK(fl2_model_load(DEMO, NULL, &model) == FL2_OK);
  CHECK(fl2_runner_create(model, 1, &runner) == FL2_OK);
  CHECK(fl2_picture_open(DEMO "/images/scene-1.png", NULL, &picture) == FL2_OK);
  CHECK(fl2_encode_picture(runner, picture, &image) == FL2_OK);
  const fl2_run_options options = short_answer();
  const fl2_request requests[] = {{sizeof(fl2_request), image, FL2_OCR, NULL, &options},
                                  {sizeof(fl2_request), image, FL2_REGION_TO_OCR, NULL, &options}};
  CHECK(fl2_run_batch(runner, requests, 2, &batch) == FL2_OK);
  CHECK(fl2_batch_status(batch, 1) == FL2_ERROR_ARGUMENT); /* no region */
  for (int i = 0; i < 100 && failures == 0; ++i) run_round(model, image);
  fl2_batch_free(batch);
  fl2_image_free(image);
  fl2_picture_free(picture);
  fl2_runner_free(runner);
  fl2_model_free(model);
}

int main(void) {
  for (int i = 0; i < 10 && failures == 0; ++i) model_round();
  return report();
}
