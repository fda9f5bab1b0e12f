// CSV (RFC 4180): a row for each thing, a row for each text, a row for each failure.
#include "core/utf8.hpp"
#include "tools/answer_text.hpp"
#include "tools/formats.hpp"
#include "tools/shapes.hpp"

namespace florence2 {
namespace {

constexpr std::string_view kHeader = "image,width,height,task,input,label,shape,x0,y0,x1,y1,points,score,text,error\n";

struct Row {
  std::string image, width, height, task, input, label, shape, x0, y0, x1, y1, points, score, text, error;
};

/// What is not UTF-8, as in names of files, becomes U+FFFD, as in JSON.
std::string quoted(const std::string& text) {
  const std::string cell = replace_invalid_utf8(text);
  if (cell.find_first_of(",\"\r\n") == std::string::npos) return cell;
  std::string out = "\"";
  for (const char c : cell) out.append(c == '"' ? 2 : 1, c);
  return out + '"';
}

std::string line_of(const Row& row) {
  std::string line;
  for (const std::string* cell : {&row.image, &row.width, &row.height, &row.task, &row.input, &row.label, &row.shape,
                                  &row.x0, &row.y0, &row.x1, &row.y1, &row.points, &row.score, &row.text, &row.error}) {
    line += (cell == &row.image ? "" : ",") + quoted(*cell);
  }
  return line + '\n';
}

/// "x y x y", parts separated by ";".
std::string points_of(const Item& item) {
  if (std::holds_alternative<Box>(item.shape)) return {};
  std::string text;
  for (const auto& outline : outlines(item)) {
    if (!text.empty()) text += ';';
    for (std::size_t i = 0; i < outline.size(); ++i) {
      text.append(i == 0 ? "" : " ").append(number_text(outline[i].x)).append(" ").append(number_text(outline[i].y));
    }
  }
  return text;
}

std::string input_of(const Job& job) {
  if (job.task_token().empty()) return job.prompt;
  if (!job.region) return job.text;
  const Box& box = *job.region;
  return number_text(box.x0) + " " + number_text(box.y0) + " " + number_text(box.x1) + " " + number_text(box.y1);
}

class CsvWriter : public AnswerWriter {
 public:
  explicit CsvWriter(Output output) : output_(std::move(output)) {}

  Status answer(const PictureFacts& picture, const Job& job, const TaskResult& result) override {
    Row row = start(picture.input.path, job);
    row.width = std::to_string(picture.width);
    row.height = std::to_string(picture.height);
    if (result.answer.kind == AnswerKind::text) {
      row.text = readable_text(result.answer.text);
      if (result.confidence > 0) row.score = number_text(result.confidence);
      return write(line_of(row));
    }
    std::string lines;
    for (const Item& item : result.answer.items) lines += line_of(with_item(row, item));
    return write(lines);
  }

  Status failure(const std::string& image, const Job& job, const Error& error) override {
    Row row = start(image, job);
    row.error = error.text();
    return write(line_of(row));
  }

  Status finish() override {
    FL_TRY(write({}));
    return output_.commit();
  }

 private:
  static Row start(const std::string& image, const Job& job) {
    Row row;
    row.image = image;
    row.task = job.task_token();
    row.input = input_of(job);
    return row;
  }

  static Row with_item(Row row, const Item& item) {
    const Box box = bounds(item);
    row.label = item.label;
    row.shape = shape_name(item);
    row.x0 = number_text(box.x0);
    row.y0 = number_text(box.y0);
    row.x1 = number_text(box.x1);
    row.y1 = number_text(box.y1);
    row.points = points_of(item);
    if (item.score > 0) row.score = number_text(item.score);
    return row;
  }

  Status write(const std::string& lines) {
    const std::string_view header = empty_ ? kHeader : std::string_view();
    empty_ = false;
    return output_.write(std::string(header) + lines);
  }

  Output output_;
  bool empty_ = true;
};

}  // namespace

Writer csv_writer(Output output) { return std::make_unique<CsvWriter>(std::move(output)); }

}  // namespace florence2
