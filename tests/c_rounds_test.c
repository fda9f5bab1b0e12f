/* 1,000 rounds of everything that is created and freed, for LeakSanitizer (the asan preset); a model once in ten. */
#include "model/florence2.h"
#include "tests/c_check.h"

#define DEMO FLORENCE2_SOURCE_DIR "/weights/demo"

static void round_of_runs(const fl2_model* model, const fl2_pixels* pixels) {
  fl2_runner* runner = NULL;
  fl2_image* image = NULL;
  fl2_result* result = NULL;
  fl2_batch* batch = NULL;
  fl2_run_options options;
  fl2_run_options_init(&options, sizeof options);
  options.num_beams = 2;
  options.max_new_tokens = 3;
  CHECK(fl2_runner_create(model, 1, &runner) == FL2_OK);
  CHECK(fl2_encode(runner, pixels, &image) == FL2_OK);
  CHECK(fl2_run(runner, image, FL2_OBJECT_DETECTION, &options, &result) == FL2_OK);
  const fl2_request requests[] = {{sizeof(fl2_request), image, FL2_OCR, NULL, &options},
                                  {sizeof(fl2_request), image, FL2_REGION_TO_OCR, NULL, &options}};
  CHECK(fl2_run_batch(runner, requests, 2, &batch) == FL2_OK);
  CHECK(fl2_batch_status(batch, 0) == FL2_OK);
  CHECK(fl2_batch_status(batch, 1) == FL2_ERROR_ARGUMENT); /* no region */
  fl2_batch_free(batch);
  fl2_result_free(result);
  fl2_image_free(image);
  fl2_runner_free(runner);
}

int main(void) {
  fl2_model* model = NULL;
  fl2_picture* picture = NULL;
  for (int i = 0; i < 1000 && failures == 0; ++i) {
    if (i % 10 == 0) {
      fl2_model_free(model);
      fl2_picture_free(picture);
      CHECK(fl2_model_load(DEMO, NULL, &model) == FL2_OK);
      CHECK(fl2_picture_open(DEMO "/images/scene-1.png", NULL, &picture) == FL2_OK);
    }
    const fl2_pixels pixels = {sizeof pixels, fl2_picture_rgb(picture), fl2_picture_width(picture),
                               fl2_picture_height(picture), (ptrdiff_t)3 * fl2_picture_width(picture)};
    round_of_runs(model, &pixels);
  }
  fl2_picture_free(picture);
  fl2_model_free(model);
  return report();
}
