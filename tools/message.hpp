// What goes to standard error, and the exit status that goes with a failure.
#pragma once

#include <string>
#include <string_view>

#include "core/result.hpp"

namespace florence2 {

/// The status of <sysexits.h> for a failure (README, "Exit status").
int exit_status(ErrorCode code);

/// `text` with control characters and bytes that are not UTF-8 as \x1b, so that names and labels cannot drive a
/// terminal.
std::string printable(std::string_view text);

/// Whether a file descriptor is a terminal that may be sent colours (NO_COLOR, TERM=dumb).
bool wants_color(int descriptor);

/// "florence2: error: where: message", and for our own mistakes what to do about them.
std::string error_line(const Error& error, bool color);

/// Prints error_line to standard error and returns the exit status.
int report(const Error& error);

/// The exit status of a command: its own, or that of the error, which is reported. A reader of our output that went
/// away (error cancelled) is no failure.
int conclude(const Result<int>& outcome);

/// Prints "florence2: note: text".
void print_note(std::string_view text);

}  // namespace florence2
