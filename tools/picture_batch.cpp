#include "tools/picture_batch.hpp"

#include "core/stopwatch.hpp"

namespace florence2 {
namespace {

void set_image(PictureSlot& slot, Result<EncodedImage> image) {
  if (!image) {
    slot.error = image.error();
    return;
  }
  slot.facts.encode = image->timings();
  slot.image = std::move(image).value();
}

Result<std::string> custom_prompt(const Job& job, const PictureFacts& facts) {
  if (!job.region) return build_prompt(*job.custom, job.text);
  FL_ASSIGN(const std::string tokens, region_tokens(*job.region, facts.width, facts.height));
  return build_prompt(*job.custom, tokens);
}

Result<Request> make_request(const PictureSlot& slot, const Job& job, const RunOptions& shared) {
  Request request{.image = &*slot.image, .options = shared, .prompt = job.prompt};
  if (job.task) {
    request.task = *job.task;
    request.options.text = job.text;
    request.options.region = job.region;
  }
  if (job.custom) {
    FL_ASSIGN(request.prompt, custom_prompt(job, slot.facts));
    request.options.prompt_answer = job.custom->answer;
  }
  return request;
}

}  // namespace

void decode_picture(PictureSlot& slot, const PictureOptions& options) {
  Stopwatch watch;
  auto picture = open_input(slot.facts.input, options);
  if (!picture) {
    slot.error = picture.error();
    return;
  }
  slot.picture = std::move(picture).value();
  slot.facts.pixels = slot.picture->view();
  slot.facts.width = slot.picture->width;
  slot.facts.height = slot.picture->height;
  slot.facts.frames = slot.picture->frames;
  slot.facts.decode_ms = watch.lap();
}

void encode_pictures(Runner& runner, std::span<PictureSlot> slots) {
  std::vector<PictureSlot*> decoded;
  std::vector<ImageView> views;
  for (PictureSlot& slot : slots) {
    if (!slot.picture) continue;
    decoded.push_back(&slot);
    views.push_back(slot.facts.pixels);
  }
  auto images = views.size() > 1 ? runner.encode_batch(views) : Error{};
  for (std::size_t i = 0; i < decoded.size(); ++i) {  // one by one where they failed together, to tell which
    set_image(*decoded[i], images ? Result<EncodedImage>(std::move((*images)[i])) : runner.encode(views[i]));
  }
}

Status ask_pictures(Runner& runner, std::span<PictureSlot> slots, const RunOptions& shared) {
  std::vector<Request> requests;
  std::vector<Result<TaskResult>*> places;
  for (PictureSlot& slot : slots) {
    if (!slot.image) continue;
    slot.results.assign(slot.jobs.size(), Error{});
    for (std::size_t i = 0; i < slot.jobs.size(); ++i) {
      auto request = make_request(slot, slot.jobs[i], shared);
      if (!request) {
        slot.results[i] = request.error();
        continue;
      }
      requests.push_back(std::move(request).value());
      places.push_back(&slot.results[i]);
    }
  }
  if (requests.empty()) return {};
  FL_ASSIGN(std::vector<Result<TaskResult>> results, runner.run_batch(requests));
  for (std::size_t i = 0; i < results.size(); ++i) *places[i] = std::move(results[i]);
  return {};
}

}  // namespace florence2
