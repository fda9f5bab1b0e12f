#include "tools/interrupt.hpp"

#include <sysexits.h>
#include <unistd.h>

#include <csignal>
#include <initializer_list>
#include <string_view>

namespace florence2 {
namespace {

volatile std::sig_atomic_t received = 0, questioned = 0;

void remember(int signal) { received = signal; }
void remember_question(int) { questioned = 1; }

/// What a signal handler may do: no buffers, no destructors.
void end_without_weights(int) {
  constexpr std::string_view kMessage = "florence2: error: the weights file changed while in use\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, kMessage.data(), kMessage.size());
  _exit(EX_IOERR);
}

}  // namespace

void ignore_write_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

void report_lost_weights() {
  struct sigaction action {};
  action.sa_handler = end_without_weights;
  sigaction(SIGBUS, &action, nullptr);
}

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
}

int interrupt_signal() { return received; }

void catch_questions() {
  struct sigaction action {};
  action.sa_handler = remember_question;
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, nullptr);
}

bool was_questioned() {
  const bool asked = questioned != 0;
  questioned = 0;
  return asked;
}

}  // namespace florence2
