/* Florence-2 in C99: load a checkpoint, encode a picture once, ask it any of the fifteen tasks.
 *
 *   fl2_model* model = NULL;
 *   if (fl2_model_load("Florence-2-base", NULL, &model) != FL2_OK) return puts(fl2_last_error());
 *   fl2_runner* runner = NULL;
 *   fl2_runner_create(model, 0, &runner);
 *   fl2_picture* picture = NULL;
 *   fl2_picture_open("street.jpg", NULL, &picture);
 *   fl2_image* image = NULL;
 *   fl2_encode_picture(runner, picture, &image);                          the vision tower runs once
 *   fl2_result* result = NULL;
 *   fl2_run(runner, image, FL2_OBJECT_DETECTION, NULL, &result);
 *   for (int i = 0; i < fl2_result_item_count(result); ++i) {
 *     fl2_item item = {.size = sizeof item};
 *     fl2_result_item(result, i, &item);                                  item.label, item.xy, item.score
 *   }
 *
 * Rules for all of it:
 * - A function that can fail returns an fl2_status and writes through its last parameter only when that is FL2_OK;
 *   what went wrong, in one line, is fl2_last_error(). Nothing prints, exits, aborts or throws.
 * - What a function creates, its fl2_x_free frees; NULL may be freed, but has nothing to tell: the functions that
 *   return a value need a handle. Strings and arrays that a handle gives belong to the handle and live as long.
 *   Handles do not depend on one another's lives: a model may be freed while its runners live.
 * - Text is UTF-8 and ends with NUL. NULL stands for no text, no options and, where a comment says so, other
 *   defaults.
 * - A struct begins with its size, set by the caller, so that a program built against an older header works with a
 *   newer library. A size that is larger than the library knows is an error in options. Options come from
 *   fl2_x_options_init, which sets the size, too: 0 is not every member's default.
 * - Where an enum goes in, its parameter is an int, so that a wrong number is an error like any other.
 * - A model may be used by many threads at once, and so may everything that is const here. A runner serves one call
 *   at a time and refuses another, from a second thread or from a callback. A callback must return: it must not
 *   throw, nor end its thread.
 *
 * Meanings, ranges and defaults are those of florence2.hpp, which says more. */
#ifndef FLORENCE2_MODEL_FLORENCE2_H_
#define FLORENCE2_MODEL_FLORENCE2_H_

#include <stddef.h>
#include <stdint.h>

#include "core/export.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- Status and version ------------------------------------------------------------------------------- */

/* The numbers are the exit statuses of the program florence2 (sysexits.h). */
typedef enum fl2_status {
  FL2_OK = 0,
  FL2_ERROR_ARGUMENT = 64,      /* the caller asked for something that is not allowed */
  FL2_ERROR_DATA = 65,          /* an input is there but unusable */
  FL2_ERROR_NOT_FOUND = 66,     /* an input does not exist */
  FL2_ERROR_UNSUPPORTED = 69,   /* this build lacks it */
  FL2_ERROR_INTERNAL = 70,      /* our own mistake */
  FL2_ERROR_MEMORY = 71,        /* out of memory, threads or handles */
  FL2_ERROR_CANNOT_CREATE = 73, /* an output cannot be created */
  FL2_ERROR_IO = 74,            /* reading or writing failed half-way */
  FL2_ERROR_LIMIT = 76,         /* a size, time or memory budget was exceeded */
  FL2_ERROR_PERMISSION = 77,    /* an input may not be read */
  FL2_ERROR_MODEL = 78,         /* the model folder is damaged or does not fit together */
  FL2_ERROR_CANCELLED = 130     /* a callback ended the work */
} fl2_status;

/* One line about the last failure on this thread, "" if there was none; valid until the next failure on it. */
FLORENCE2_API const char* fl2_last_error(void);
/* "0.1.0", and one line with commit, compiler and instruction sets. */
FLORENCE2_API const char* fl2_version(void);
FLORENCE2_API const char* fl2_build_description(void);

/* --- Tasks -------------------------------------------------------------------------------------------- */

typedef enum fl2_task {
  FL2_OCR,
  FL2_OCR_WITH_REGION,
  FL2_CAPTION,
  FL2_DETAILED_CAPTION,
  FL2_MORE_DETAILED_CAPTION,
  FL2_OBJECT_DETECTION,
  FL2_DENSE_REGION_CAPTION,
  FL2_REGION_PROPOSAL,
  FL2_PHRASE_GROUNDING,
  FL2_REFERRING_SEGMENTATION,
  FL2_REGION_TO_SEGMENTATION,
  FL2_OPEN_VOCABULARY_DETECTION,
  FL2_REGION_TO_CATEGORY,
  FL2_REGION_TO_DESCRIPTION,
  FL2_REGION_TO_OCR,
  FL2_TASK_COUNT
} fl2_task;

typedef enum fl2_answer_kind {
  FL2_ANSWER_TEXT,
  FL2_ANSWER_BOXES,
  FL2_ANSWER_QUADS,
  FL2_ANSWER_POLYGONS,
  FL2_ANSWER_BOXES_OR_POLYGONS
} fl2_answer_kind;

/* What a task takes besides the picture. */
typedef enum fl2_task_input { FL2_INPUT_NONE, FL2_INPUT_TEXT, FL2_INPUT_REGION } fl2_task_input;

/* Whose post-processing and prompts to follow, quirks included; NONE: the repaired rules. */
typedef enum fl2_compat { FL2_COMPAT_NONE, FL2_COMPAT_HF, FL2_COMPAT_MS } fl2_compat;

/* A task: one of the table, or one of a file or of the caller's own (name may be NULL there). */
typedef struct fl2_task_info {
  size_t size;
  const char* name;        /* "od" */
  const char* token;       /* "<OD>" */
  const char* prompt;      /* sent to the model; "{input}" stands for the input */
  const char* description; /* a few words for a help text */
  int answer;              /* fl2_answer_kind */
  int input;               /* fl2_task_input */
} fl2_task_info;

FLORENCE2_API fl2_status fl2_task_describe(int task, fl2_task_info* info);
/* The task called "<OD>", "OD" or "od", in any case. */
FLORENCE2_API fl2_status fl2_task_parse(const char* name, fl2_task* task);

/* Tasks from a JSON file, for fine-tunes (load_tasks in florence2.hpp has the format). */
typedef struct fl2_tasks fl2_tasks;
FLORENCE2_API fl2_status fl2_tasks_load(const char* path, fl2_tasks** tasks);
FLORENCE2_API void fl2_tasks_free(fl2_tasks* tasks);
FLORENCE2_API int fl2_tasks_count(const fl2_tasks* tasks);
FLORENCE2_API fl2_status fl2_tasks_get(const fl2_tasks* tasks, int index, fl2_task_info* info);

/* --- Pictures ----------------------------------------------------------------------------------------- */

typedef struct fl2_picture_options {
  size_t size;
  int exif_rotate;     /* 0: the EXIF orientation is ignored, as the reference does */
  int allow_truncated; /* 0: a file that ends early is an error */
  int scale_grey16;    /* 1: 16-bit grey takes the high byte; 0 clips at 255, as Pillow does */
  int64_t max_pixels;
  int64_t max_file_bytes;
} fl2_picture_options;
FLORENCE2_API void fl2_picture_options_init(fl2_picture_options* options, size_t size);

/* A decoded picture: 8-bit RGB without padding. */
typedef struct fl2_picture fl2_picture;
/* JPEG, PNG, WebP, BMP, PNM or GIF (first frame). */
FLORENCE2_API fl2_status fl2_picture_open(const char* path, const fl2_picture_options* options, fl2_picture** picture);
/* The same from memory; `name` is used in messages. */
FLORENCE2_API fl2_status fl2_picture_decode(const void* bytes, size_t count, const char* name,
                                            const fl2_picture_options* options, fl2_picture** picture);
FLORENCE2_API void fl2_picture_free(fl2_picture* picture);
FLORENCE2_API int fl2_picture_width(const fl2_picture* picture);
FLORENCE2_API int fl2_picture_height(const fl2_picture* picture);
FLORENCE2_API const uint8_t* fl2_picture_rgb(const fl2_picture* picture); /* [height][width][3] */
FLORENCE2_API const char* fl2_picture_format(const fl2_picture* picture); /* "JPEG", "PNG", ... */
FLORENCE2_API int fl2_picture_frames(const fl2_picture* picture);         /* in the file; the first one is used */
FLORENCE2_API int fl2_picture_warning_count(const fl2_picture* picture);
/* NULL when there is no such warning. */
FLORENCE2_API const char* fl2_picture_warning(const fl2_picture* picture, int index);

/* --- Model -------------------------------------------------------------------------------------------- */

/* A LoRA, rsLoRA or DoRA adapter in PEFT's layout. */
typedef struct fl2_adapter {
  size_t size;
  const char* directory;
  float scale; /* of the adapter's own strength: 1 as it was trained */
} fl2_adapter;

typedef struct fl2_model_options {
  size_t size;
  int threads;                 /* for loading; 0: all physical cores this process may use */
  int check_weights;           /* refuse NaN and infinity */
  const char* isa;             /* kernel table by name; NULL: $FLORENCE2_ISA, else the fastest */
  const char* precision;       /* "auto", "fp32", "bf16", "int8", or parts: "vision=bf16,text=int8"; NULL: "auto" */
  const fl2_adapter* adapters; /* merged into the weights, in this order; all adapters[i].size are the same */
  int adapter_count;
} fl2_model_options;
FLORENCE2_API void fl2_model_options_init(fl2_model_options* options, size_t size);

/* A checkpoint; immutable. */
typedef struct fl2_model fl2_model;
FLORENCE2_API fl2_status fl2_model_load(const char* directory, const fl2_model_options* options, fl2_model** model);
FLORENCE2_API void fl2_model_free(fl2_model* model);

typedef struct fl2_model_info {
  size_t size;
  const char* directory;
  const char* size_name; /* "base", "large" or "custom" */
  const char* layout;    /* "hf" or "ms" */
  const char* storage;   /* dtype of the weights: "F32", "F16", "BF16", "I8" (converted) or "mixed" */
  const char* isa;
  const char* precision; /* in force */
  int64_t parameters;
  int64_t weight_bytes; /* packed in memory */
  int image_side;
  int image_tokens;
  int d_model;
  int encoder_layers;
  int decoder_layers;
  int vocabulary;
  int positions;
  int tied_head;
  int warning_count;
} fl2_model_info;
FLORENCE2_API fl2_status fl2_model_describe(const fl2_model* model, fl2_model_info* info);
/* NULL when there is no such warning. */
FLORENCE2_API const char* fl2_model_warning(const fl2_model* model, int index);

/* --- Encoding ----------------------------------------------------------------------------------------- */

/* Owns the workspace; one thread at a time may use it. threads 0: all physical cores this process may use. */
typedef struct fl2_runner fl2_runner;
FLORENCE2_API fl2_status fl2_runner_create(const fl2_model* model, int threads, fl2_runner** runner);
FLORENCE2_API void fl2_runner_free(fl2_runner* runner);

/* Interleaved 8-bit RGB of the caller's. row_bytes >= 3 * width. */
typedef struct fl2_pixels {
  size_t size;
  const uint8_t* rgb;
  int width;
  int height;
  ptrdiff_t row_bytes;
} fl2_pixels;

/* The vision tower's answer to one picture, for any number of questions by any runner of the same model. */
typedef struct fl2_image fl2_image;
FLORENCE2_API fl2_status fl2_encode(fl2_runner* runner, const fl2_pixels* pixels, fl2_image** image);
FLORENCE2_API fl2_status fl2_encode_picture(fl2_runner* runner, const fl2_picture* picture, fl2_image** image);
/* Writes `count` handles to images[0...]. All pixels[i].size are the same. */
FLORENCE2_API fl2_status fl2_encode_batch(fl2_runner* runner, const fl2_pixels* pixels, size_t count,
                                          fl2_image** images);
FLORENCE2_API fl2_status fl2_image_save(const fl2_image* image, const char* path);
FLORENCE2_API fl2_status fl2_image_load(const char* path, fl2_image** image);
FLORENCE2_API void fl2_image_free(fl2_image* image);
/* 1: same size and bit for bit the same features. */
FLORENCE2_API int fl2_image_equal(const fl2_image* a, const fl2_image* b);
FLORENCE2_API int fl2_image_width(const fl2_image* image); /* of the source picture */
FLORENCE2_API int fl2_image_height(const fl2_image* image);
FLORENCE2_API const float* fl2_image_features(const fl2_image* image); /* [tokens][dim] */
FLORENCE2_API int fl2_image_tokens(const fl2_image* image);
FLORENCE2_API int fl2_image_dim(const fl2_image* image);

/* --- Asking ------------------------------------------------------------------------------------------- */

/* Leaves a setting to the checkpoint, then to the reference's default; a float does so by being NaN. */
#define FL2_UNSET (-1)

typedef enum fl2_early_stopping {
  FL2_EARLY_STOPPING_UNSET = FL2_UNSET,
  FL2_EARLY_STOPPING_YES = 0,
  FL2_EARLY_STOPPING_NO = 1,
  FL2_EARLY_STOPPING_NEVER = 2
} fl2_early_stopping;

typedef struct fl2_run_options {
  size_t size;
  const char* text;           /* phrase, caption or "<loc_..>" x 4, by task */
  const float* region;        /* x0, y0, x1, y1 in pixels of the source picture; NULL: none */
  const char* const* classes; /* labels that the answer may use */
  int class_count;
  int compat;        /* fl2_compat */
  int prompt_answer; /* fl2_answer_kind: how fl2_run_prompt reads the answer */
  /* Generation; fl2_run_options_init leaves all of it to the checkpoint. */
  int num_beams;            /* 1 to 16, or FL2_UNSET, as in the next three */
  int max_new_tokens;       /* counts <s> and </s> */
  int min_new_tokens;       /* no </s> before; counts alike */
  int no_repeat_ngram;      /* 0: off */
  float length_penalty;     /* or NaN */
  float repetition_penalty; /* 1: off; or NaN */
  int early_stopping;       /* fl2_early_stopping */
  int well_formed;          /* 1: location groups complete, boxes with ordered corners */
  int sample;               /* 1: draws each token, with the next four; needs one beam */
  float temperature;
  int top_k;   /* 0: off */
  float top_p; /* 1: off */
  uint64_t seed;
  double deadline_ms; /* for prefill and generation; 0: none */
  /* Called after each decode step with the number of tokens so far; 0 cancels. May be NULL. */
  int (*on_step)(int tokens, void* user);
  /* Called with each piece of text that no later step takes back; 0 cancels. May be NULL. */
  int (*on_text)(const char* text, void* user);
  void* user; /* handed to both */
} fl2_run_options;
FLORENCE2_API void fl2_run_options_init(fl2_run_options* options, size_t size);

/* An answer with all that is known about it. */
typedef struct fl2_result fl2_result;
FLORENCE2_API fl2_status fl2_run(fl2_runner* runner, const fl2_image* image, int task, const fl2_run_options* options,
                                 fl2_result** result);
/* Sends `prompt` as it is. */
FLORENCE2_API fl2_status fl2_run_prompt(fl2_runner* runner, const fl2_image* image, const char* prompt,
                                        const fl2_run_options* options, fl2_result** result);
/* A task that the table lacks. */
FLORENCE2_API fl2_status fl2_run_custom(fl2_runner* runner, const fl2_image* image, const fl2_task_info* task,
                                        const fl2_run_options* options, fl2_result** result);

/* One question of a batch. */
typedef struct fl2_request {
  size_t size;
  const fl2_image* image;
  int task;           /* fl2_task */
  const char* prompt; /* sent as it is, and `task` is ignored; NULL or empty: `task` is asked */
  const fl2_run_options* options;
} fl2_request;

/* Answers of a batch, in the order of its requests, decoded together; each is what it is alone. One that fails leaves
 * the others alone: the call is FL2_OK then. All requests[i].size are the same. */
typedef struct fl2_batch fl2_batch;
FLORENCE2_API fl2_status fl2_run_batch(fl2_runner* runner, const fl2_request* requests, size_t count,
                                       fl2_batch** batch);
FLORENCE2_API void fl2_batch_free(fl2_batch* batch);
FLORENCE2_API size_t fl2_batch_count(const fl2_batch* batch);
FLORENCE2_API fl2_status fl2_batch_status(const fl2_batch* batch, size_t index);
FLORENCE2_API const char* fl2_batch_error(const fl2_batch* batch, size_t index); /* "" when it succeeded */
/* Owned by the batch; NULL when that request failed. */
FLORENCE2_API const fl2_result* fl2_batch_result(const fl2_batch* batch, size_t index);

/* --- Answers ------------------------------------------------------------------------------------------ */

FLORENCE2_API void fl2_result_free(fl2_result* result);
FLORENCE2_API fl2_answer_kind fl2_result_kind(const fl2_result* result);
FLORENCE2_API const char* fl2_result_text(const fl2_result* result); /* the answer of text tasks, else "" */
FLORENCE2_API int fl2_result_item_count(const fl2_result* result);
/* Incomplete location groups that were not turned into items. */
FLORENCE2_API int fl2_result_items_dropped(const fl2_result* result);

typedef enum fl2_shape { FL2_SHAPE_BOX, FL2_SHAPE_QUAD, FL2_SHAPE_POLYGONS } fl2_shape;

/* One thing that an answer names. Coordinates are pixels of the source picture, origin at its top left corner. */
typedef struct fl2_item {
  size_t size;
  const char* label;
  fl2_shape shape;
  int point_count;           /* box: 2 (top left, bottom right); quad: 4, clockwise; polygons: of all together */
  const float* xy;           /* [point_count][2] */
  int polygon_count;         /* 0 unless the shape is polygons */
  const int* polygon_points; /* [polygon_count], how many of the points belong to each, in order */
  float score;               /* trust in where it is, in (0, 1]; 0 where unknown (docs/scores.md) */
  float label_score;         /* trust in what it is; 0 without label */
} fl2_item;
FLORENCE2_API fl2_status fl2_result_item(const fl2_result* result, int index, fl2_item* item);

/* Text regions on one line of the page, for OCR answers: every item stands in exactly one line. */
typedef struct fl2_text_line {
  size_t size;
  const char* text; /* the items' labels with spaces between */
  const int* items; /* [item_count], indices in reading order */
  int item_count;
  float box[4]; /* around them */
  float score;  /* smallest label_score of the items */
} fl2_text_line;
FLORENCE2_API int fl2_result_line_count(const fl2_result* result);
FLORENCE2_API fl2_status fl2_result_line(const fl2_result* result, int index, fl2_text_line* line);

/* What stands behind an answer. */
typedef struct fl2_result_info {
  size_t size;
  const char* prompt;       /* as sent to the model */
  const char* text;         /* decoded, location tokens kept */
  const int32_t* token_ids; /* [token_count], from the start token to </s> */
  const float* log_probs;   /* [token_count - 1], one a generated token */
  int token_count;
  int complete;     /* 0: cut by the limit of tokens */
  float score;      /* sum of log-probabilities / length^penalty */
  float confidence; /* exp of the mean log-probability of the answer's tokens */
  int absent_class_count;
  const char* const* absent_classes; /* of the options' classes, those that no item has as label */
  double preprocess_ms, vision_ms, prefill_ms, generate_ms;
} fl2_result_info;
FLORENCE2_API fl2_status fl2_result_describe(const fl2_result* result, fl2_result_info* info);

/* --- The edges of the model, alone -------------------------------------------------------------------- */

/* Structured answer of decoded model text. Needs no weights; width and height are the picture's. */
FLORENCE2_API fl2_status fl2_parse_answer(int task, const char* text, int width, int height, int compat,
                                          fl2_result** result);
/* The same for a free prompt's answer. */
FLORENCE2_API fl2_status fl2_parse_prompt_answer(int kind, const char* text, int width, int height, int compat,
                                                 fl2_result** result);
/* Prompt of a task with its input (text or location tokens; NULL: none). fl2_string_free frees it. */
FLORENCE2_API fl2_status fl2_build_prompt(int task, const char* input, int compat, char** prompt);
/* The four location tokens of x0, y0, x1, y1 in pixels. fl2_string_free frees them. */
FLORENCE2_API fl2_status fl2_region_tokens(const float region[4], int width, int height, char** tokens);
FLORENCE2_API void fl2_string_free(char* string);

#ifdef __cplusplus
}
#endif

#endif /* FLORENCE2_MODEL_FLORENCE2_H_ */
