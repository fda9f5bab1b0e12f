#include "tests/child_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>

extern char** environ;

namespace florence2::test {
namespace {

struct Pipe {
  Pipe() { REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0); }
  ~Pipe() { close_read(), close_write(); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int read_end() const { return ends[0]; }
  int write_end() const { return ends[1]; }
  void close_read() { close_end(ends[0]); }
  void close_write() { close_end(ends[1]); }

 private:
  static void close_end(int& end) {
    if (end >= 0) ::close(end);
    end = -1;
  }
  std::array<int, 2> ends{-1, -1};
};

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

/// Variables of `options` first: the first of equal names counts.
std::vector<std::string> environment_of(const ChildOptions& options) {
  std::vector<std::string> variables = options.environment;
  for (char** variable = environ; *variable != nullptr; ++variable) variables.emplace_back(*variable);
  return variables;
}

pid_t start(std::vector<std::string> arguments, const ChildOptions& options, int in, int out, int err) {
  std::vector<std::string> variables = environment_of(options);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  pid_t child = -1;
  const int failure = ::posix_spawnp(&child, arguments[0].c_str(), &actions, nullptr, pointers(arguments).data(),
                                     pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  INFO(arguments[0]);
  REQUIRE(failure == 0);
  return child;
}

/// Appends what is there to `text`; false at the end.
bool read_some(int descriptor, std::string& text) {
  std::array<char, 4096> block;
  const ssize_t count = ::read(descriptor, block.data(), block.size());
  if (count > 0) text.append(block.data(), static_cast<std::size_t>(count));
  return count > 0;
}

/// The exit status, as in Child.
int wait_for(pid_t process) {
  int status = 0;
  REQUIRE(::waitpid(process, &status, 0) == process);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

}  // namespace

Child run_child(const std::vector<std::string>& arguments, const ChildOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);  // the child need not read its input
  Pipe in, out, err;
  const pid_t process = start(arguments, options, in.read_end(), out.write_end(), err.write_end());
  in.close_read(), out.close_write(), err.close_write();

  Child child;
  bool signalled = options.signal_on_error_output == 0;
  std::size_t written = 0;
  std::array<pollfd, 3> waiting = {
      {{out.read_end(), POLLIN, 0}, {err.read_end(), POLLIN, 0}, {in.write_end(), POLLOUT, 0}}};
  while (waiting[0].fd >= 0 || waiting[1].fd >= 0) {
    // Whoever waits for a signal does not see the end of its input before.
    if (signalled && written == options.input.size()) {
      in.close_write();
      waiting[2].fd = -1;
    }
    if (!signalled) waiting[2].fd = -1;
    REQUIRE(::poll(waiting.data(), waiting.size(), -1) > 0);
    if (waiting[0].revents != 0 && !read_some(waiting[0].fd, child.out)) waiting[0].fd = -1;
    if (waiting[1].revents != 0 && !read_some(waiting[1].fd, child.err)) waiting[1].fd = -1;
    if (!signalled && !child.err.empty()) {
      ::kill(process, options.signal_on_error_output);
      signalled = true;
    }
    if (waiting[2].revents != 0) {
      const ssize_t count = ::write(waiting[2].fd, options.input.data() + written, options.input.size() - written);
      written = count > 0 ? written + static_cast<std::size_t>(count) : options.input.size();
    }
  }
  child.status = wait_for(process);
  return child;
}

Child run_on_terminal(const std::vector<std::string>& arguments, const ChildOptions& options) {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE(master >= 0);
  REQUIRE(::grantpt(master) == 0);
  REQUIRE(::unlockpt(master) == 0);
  const int terminal = ::open(::ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE(terminal >= 0);
  const winsize size{24, 80, 0, 0};
  REQUIRE(::ioctl(master, TIOCSWINSZ, &size) == 0);
  const pid_t process = start(arguments, options, terminal, terminal, terminal);
  ::close(terminal);
  Child child;
  while (read_some(master, child.out)) {
  }
  ::close(master);
  child.status = wait_for(process);
  return child;
}

}  // namespace florence2::test
