#include "tools/message.hpp"

#include <sysexits.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "core/utf8.hpp"

namespace florence2 {
namespace {

bool is_control(char32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0); }

void append_escaped(std::string& out, std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out.append("\\x").append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 15]);
  }
}

/// One write, so that lines of several processes do not mix.
void print_line(std::string line) {
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace

int exit_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::argument:
      return EX_USAGE;
    case ErrorCode::data:
      return EX_DATAERR;
    case ErrorCode::not_found:
      return EX_NOINPUT;
    case ErrorCode::unsupported:
      return EX_UNAVAILABLE;
    case ErrorCode::internal:
      return EX_SOFTWARE;
    case ErrorCode::memory:
      return EX_OSERR;
    case ErrorCode::cannot_create:
      return EX_CANTCREAT;
    case ErrorCode::io:
      return EX_IOERR;
    case ErrorCode::limit:
      return EX_PROTOCOL;
    case ErrorCode::permission:
      return EX_NOPERM;
    case ErrorCode::model:
      return EX_CONFIG;
    case ErrorCode::cancelled:
      return EX_TEMPFAIL;
  }
  return EX_SOFTWARE;
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    if (!step.valid || is_control(step.code_point)) {
      append_escaped(out, text.substr(0, step.size));
    } else {
      out.append(text.substr(0, step.size));
    }
    text.remove_prefix(step.size);
  }
  return out;
}

bool wants_color(int descriptor) {
  const char* refused = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return ::isatty(descriptor) == 1 && (refused == nullptr || *refused == '\0') && terminal != nullptr &&
         std::string_view(terminal) != "dumb";
}

std::string error_line(const Error& error, bool color) {
  std::string line = std::string("florence2: ") + (color ? "\x1b[1;31merror:\x1b[0m " : "error: ");
  line += printable(error.text());
  if (error.code == ErrorCode::internal) line += " (this is a bug; please report it with `florence2 --version`)";
  return line;
}

int report(const Error& error) {
  print_line(error_line(error, wants_color(STDERR_FILENO)));
  return exit_status(error.code);
}

int conclude(const Result<int>& outcome) {
  if (outcome) return *outcome;
  return outcome.error().code == ErrorCode::cancelled ? 0 : report(outcome.error());
}

void print_note(std::string_view text) { print_line("florence2: note: " + printable(text)); }

}  // namespace florence2
