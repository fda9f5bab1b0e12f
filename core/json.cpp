#include "core/json.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <functional>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/file.hpp"
#include "core/utf8.hpp"

namespace florence2::json {
namespace {

/// Reads the text while letting the Builder see how far the parser is: all copies move one shared position.
class Cursor {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  explicit Cursor(const char** position) : position_(position) {}
  reference operator*() const { return **position_; }
  Cursor& operator++() {
    ++*position_;
    return *this;
  }
  bool operator==(const Cursor& other) const { return *position_ == *other.position_; }
  bool operator!=(const Cursor& other) const { return !(*this == other); }

 private:
  const char** position_;
};

/// What nlohmann-json's exception says, without its own prefix, position and guesses of what would have been right:
/// "unexpected ','".
std::string short_message(std::string_view what) {
  const auto skip_past = [&what](std::string_view mark) {
    const std::size_t at = what.find(mark);
    if (at != what.npos) what.remove_prefix(at + mark.size());
  };
  skip_past("] ");
  skip_past(" - ");
  what = what.substr(0, what.find("; expected"));
  what = what.substr(0, what.find("; last read"));
  return std::string(what);
}

/// Receives the parser's events and builds the Value on an explicit stack.
class Builder {
 public:
  Builder(std::string_view text, const Limits& limits) : begin_(text.data()), position_(text.data()), limits_(limits) {}

  const char** position() { return &position_; }
  Value& root() { return root_; }
  std::string& message() { return message_; }

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(std::int64_t value) {
    // The parser calls this for negative numbers only: a zero was written "-0", which no integer holds.
    return value == 0 ? add(-0.0) : add(value);
  }
  bool number_unsigned(std::uint64_t value) {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return add(static_cast<double>(value));
    }
    return add(static_cast<std::int64_t>(value));
  }
  bool number_float(double value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(std::vector<std::uint8_t>&) { return fail("binary data"); }

  bool start_object(std::size_t) { return open(Value(Object())); }
  bool key(std::string& name) {
    if (name.find('\0') != name.npos) return fail("a name holds a NUL character");
    open_.back().object()->emplace_back().first = std::move(name);
    return true;
  }
  bool end_object() { return names_differ(*open_.back().object()) && close(); }

  bool start_array(std::size_t) { return open(Value(Array())); }
  bool end_array() { return close(); }

  bool parse_error(std::size_t characters_read, const std::string&, const nlohmann::detail::exception& exception) {
    message_ = short_message(exception.what()) + " at byte " + std::to_string(characters_read - 1);
    return false;
  }

 private:
  bool fail(const std::string& message) {
    message_ = message + " at byte " + std::to_string(position_ - begin_ - 1);
    return false;
  }

  bool count() {
    return ++values_ <= limits_.values || fail("more than " + std::to_string(limits_.values) + " values");
  }

  template <typename T>
  bool add(T value) {
    if (!count()) return false;
    place(std::move(value));
    return true;
  }

  bool open(Value container) {
    if (!count()) return false;
    if (static_cast<int>(open_.size()) == limits_.depth) {
      return fail("nested deeper than " + std::to_string(limits_.depth));
    }
    open_.push_back(std::move(container));
    return true;
  }

  bool close() {
    Value value = std::move(open_.back());
    open_.pop_back();
    place(std::move(value));
    return true;
  }

  template <typename T>
  void place(T value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (Array* array = open_.back().array()) {
      array->emplace_back(std::move(value));
    } else {
      open_.back().object()->back().second = std::move(value);
    }
  }

  /// Sorts by hash and then by name, so that names made to collide cost no more than a sort.
  bool names_differ(const Object& object) {
    names_.clear();
    for (const Member& member : object) names_.emplace_back(std::hash<std::string_view>{}(member.first), member.first);
    std::sort(names_.begin(), names_.end());
    const auto twice = std::adjacent_find(names_.begin(), names_.end());
    return twice == names_.end() ||
           fail("\"" + std::string(twice->second) + "\" is listed twice in the object that ends");
  }

  const char* begin_;
  const char* position_;
  Limits limits_;
  std::int64_t values_ = 0;
  std::vector<Value> open_;  // the containers around the current position, outermost first
  std::vector<std::pair<std::size_t, std::string_view>> names_;
  Value root_;
  std::string message_;
};

Error data_error(std::string message) { return {ErrorCode::data, std::move(message), ""}; }

void write_control(char character, std::string& out) {
  switch (character) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    default:
      break;
  }
  constexpr char kHex[] = "0123456789abcdef";
  out += "\\u00";
  out += kHex[character >> 4];
  out += kHex[character & 15];
}

void write_string(std::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    const char first = text[0];
    if (!step.valid) {
      out += "\xEF\xBF\xBD";
    } else if (step.size > 1) {
      out += text.substr(0, step.size);
    } else if (static_cast<unsigned char>(first) < 0x20) {
      write_control(first, out);
    } else {
      if (first == '"' || first == '\\') out += '\\';
      out += first;
    }
    text.remove_prefix(step.size);
  }
  out += '"';
}

template <typename Number>
void write_number(Number value, std::string& out) {
  char digits[32];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  out.append(digits, end);
}

template <typename Real>
void write_real(Real value, std::string& out) {
  if (std::isfinite(value)) {
    write_number(value, out);
  } else {
    out += "null";
  }
}

void write_array(const Array& array, std::string& out) {
  out += '[';
  for (std::size_t i = 0; i < array.size(); ++i) {
    if (i > 0) out += ',';
    write(array[i], out);
  }
  out += ']';
}

void write_object(const Object& object, std::string& out) {
  out += '{';
  for (std::size_t i = 0; i < object.size(); ++i) {
    if (i > 0) out += ',';
    write_string(object[i].first, out);
    out += ':';
    write(object[i].second, out);
  }
  out += '}';
}

template <typename... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <typename... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

}  // namespace

bool Value::number(double& out) const {
  if (const auto* integer = std::get_if<std::int64_t>(&state_)) {
    out = static_cast<double>(*integer);
  } else if (const auto* real = std::get_if<double>(&state_)) {
    out = *real;
  } else if (const auto* single = std::get_if<float>(&state_)) {
    out = *single;
  } else {
    return false;
  }
  return true;
}

const Value* Value::find(std::string_view key) const {
  const Object* members = object();
  if (members == nullptr) return nullptr;
  for (const Member& member : *members) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}

std::string_view Value::kind() const {
  constexpr std::string_view kKinds[] = {"null",     "a boolean", "a number", "a number",
                                         "a number", "a string",  "an array", "an object"};
  static_assert(std::size(kKinds) == std::variant_size_v<decltype(state_)>);
  return kKinds[state_.index()];
}

Result<Value> parse(std::string_view text, const Limits& limits) {
  if (text.starts_with("\xEF\xBB\xBF")) return data_error("byte order mark at byte 0");
  // The parser would take a NUL byte for the end of the text.
  if (const std::size_t at = text.find('\0'); at != text.npos) {
    return data_error("NUL character at byte " + std::to_string(at));
  }
  Builder builder(text, limits);
  const char* end = text.data() + text.size();
  if (!nlohmann::json::sax_parse(Cursor(builder.position()), Cursor(&end), &builder)) {
    return data_error(std::move(builder.message()));
  }
  return std::move(builder.root());
}

Result<Value> parse_file(const std::string& path, std::int64_t max_bytes, const Limits& limits) {
  auto text = read_file(path, max_bytes);
  if (!text) {
    if (text.error().code == ErrorCode::limit) text.error().code = ErrorCode::model;
    return std::move(text).error();
  }
  auto value = parse(*text, limits);
  if (!value) return Error{ErrorCode::model, std::move(value.error().message), path};
  return value;
}

void write(const Value& value, std::string& out) {
  std::visit(
      Overloaded{[&out](std::monostate) { out += "null"; }, [&out](bool boolean) { out += boolean ? "true" : "false"; },
                 [&out](std::int64_t integer) { write_number(integer, out); },
                 [&out](double real) { write_real(real, out); }, [&out](float real) { write_real(real, out); },
                 [&out](const std::string& string) { write_string(string, out); },
                 [&out](const Array& array) { write_array(array, out); },
                 [&out](const Object& object) { write_object(object, out); }},
      value.state_);
}

std::string dump(const Value& value) {
  std::string text;
  write(value, text);
  return text;
}

}  // namespace florence2::json
