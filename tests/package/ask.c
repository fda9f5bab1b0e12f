/* ask MODEL PICTURE: prints the caption. */
#include <florence2/florence2.h>
#include <stdio.h>

int main(int count, char** arguments) {
  fl2_model* model = NULL;
  fl2_runner* runner = NULL;
  fl2_picture* picture = NULL;
  fl2_image* image = NULL;
  fl2_result* result = NULL;
  const int failed = count != 3 || fl2_model_load(arguments[1], NULL, &model) || fl2_runner_create(model, 1, &runner) ||
                     fl2_picture_open(arguments[2], NULL, &picture) || fl2_encode_picture(runner, picture, &image) ||
                     fl2_run(runner, image, FL2_CAPTION, NULL, &result);
  puts(failed ? fl2_last_error() : fl2_result_text(result));
  fl2_result_free(result);
  fl2_image_free(image);
  fl2_picture_free(picture);
  fl2_runner_free(runner);
  fl2_model_free(model);
  return failed;
}
