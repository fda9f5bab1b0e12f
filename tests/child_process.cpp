#include "tests/child_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>

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

pid_t start(std::vector<std::string> arguments, const ChildOptions& options, const Pipe& in, const Pipe& out,
            const Pipe& err) {
  std::vector<std::string> variables = environment_of(options);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.read_end(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.write_end(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.write_end(), STDERR_FILENO);
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

}  // namespace

Child run_child(const std::vector<std::string>& arguments, const ChildOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);  // the child need not read its input
  Pipe in, out, err;
  const pid_t process = start(arguments, options, in, out, err);
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
  int status = 0;
  REQUIRE(::waitpid(process, &status, 0) == process);
  child.status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  return child;
}

}  // namespace florence2::test
