// Downloads from a stand-in for the hub that cuts, stalls, lies and refuses.
#include <fcntl.h>
#include <httplib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <map>
#include <mutex>
#include <thread>

#include "core/file.hpp"
#include "core/sha256.hpp"
#include "tests/temp_folder.hpp"
#include "tools/download_file.hpp"
#include "tools/hub_cache.hpp"
#include "tools/hub_download.hpp"

namespace florence2 {
namespace {

using Catch::Matchers::Contains;
using test::TempFolder;
namespace fs = std::filesystem;

std::string sha_of(const std::string& text) { return sha256(std::as_bytes(std::span(text))); }

std::string content_of(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * i % 251);
  return text;
}

const std::string kCommit = "0123456789abcdef0123456789abcdef01234567";

/// What the server does wrong, request by request; the last one stays.
enum class Fault { none, cut, stall, missing, refused, busy, no_ranges, wrong_range, unsatisfiable, too_long };

class Hub {
 public:
  Hub() {
    server_.Get(
        "/api/models/microsoft/Florence-2-base/revision/main",
        [this](const httplib::Request&, httplib::Response& answer) { answer.set_content(listing(), "text/json"); });
    server_.Get(R"(/microsoft/Florence-2-base/resolve/\w+/(.+))",
                [this](const httplib::Request& request, httplib::Response& answer) {
                  answer.set_redirect("/cdn/" + std::string(request.matches[1]));
                  if (request.get_header_value("Authorization") == "Bearer secret") ++authorized;
                });
    server_.Get(R"(/cdn/(.+))", [this](const httplib::Request& request, httplib::Response& answer) {
      serve(request, answer, files.at(request.matches[1]));
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~Hub() {
    server_.stop();
    thread_.join();
  }

  std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::string url(const std::string& name) const { return endpoint() + "/cdn/" + name; }

  std::map<std::string, std::string> files;
  std::vector<Fault> faults;
  std::vector<std::string> ranges;  // asked for, in order
  std::atomic<int> authorized = 0;
  bool lie_about_checksum = false;

 private:
  std::string listing() const {
    json::Array siblings;
    for (const auto& [name, text] : files) {
      json::Object entry{{"rfilename", name}, {"size", static_cast<std::int64_t>(text.size())}};
      entry.emplace_back("blobId", sha_of(name).substr(0, 40));
      if (name.ends_with(".safetensors")) {
        const std::string sum = sha_of(lie_about_checksum ? text + "x" : text);
        entry.emplace_back("lfs", json::Object{{"sha256", sum}, {"size", static_cast<std::int64_t>(text.size())}});
      }
      siblings.emplace_back(std::move(entry));
    }
    return json::dump(json::Object{{"sha", kCommit}, {"siblings", std::move(siblings)}});
  }

  void serve(const httplib::Request& request, httplib::Response& answer, const std::string& text) {
    const std::string range = request.get_header_value("Range");
    Fault fault = Fault::none;
    {
      const std::lock_guard lock(mutex_);
      if (!faults.empty()) fault = faults[std::min(ranges.size(), faults.size() - 1)];
      ranges.push_back(range);
    }
    const std::size_t first = range.empty() ? 0 : std::stoul(range.substr(range.find('=') + 1));
    switch (fault) {
      case Fault::missing:
      case Fault::refused:
      case Fault::busy:
      case Fault::unsatisfiable:
        answer.status = fault == Fault::missing   ? 404
                        : fault == Fault::refused ? 403
                        : fault == Fault::busy    ? 503
                                                  : 416;
        return;
      default:
        break;
    }
    const bool whole = fault == Fault::no_ranges || range.empty();
    const std::size_t begin = whole ? 0 : fault == Fault::wrong_range ? first / 2 : first;
    std::string rest = text.substr(begin);
    if (fault == Fault::too_long) rest += "more";
    // The header is set by hand, and the range is taken from the request, so that the server does not cut it again.
    const_cast<httplib::Request&>(request).ranges.clear();
    answer.status = whole ? 200 : 206;
    if (!whole) {
      answer.set_header("Content-Range", "bytes " + std::to_string(begin) + "-" + std::to_string(text.size() - 1) +
                                             "/" + std::to_string(text.size()));
    }
    const bool breaks = fault == Fault::cut || fault == Fault::stall;
    answer.set_content_provider(rest.size(), "application/octet-stream",
                                [rest, breaks, fault](std::size_t offset, std::size_t, httplib::DataSink& sink) {
                                  if (breaks && offset >= rest.size() / 2) {
                                    if (fault == Fault::stall)
                                      std::this_thread::sleep_for(std::chrono::milliseconds(1500));
                                    return false;
                                  }
                                  const std::size_t end = breaks ? rest.size() / 2 : rest.size();
                                  sink.write(rest.data() + offset, end - offset);
                                  return true;
                                });
  }

  httplib::Server server_;
  std::mutex mutex_;
  std::thread thread_;
  int port_ = 0;
};

HubSettings settings_of(const Hub& hub, const TempFolder& folder) {
  HubSettings settings;
  settings.endpoint = hub.endpoint();
  settings.cache = folder.path();
  settings.timeout_s = 1;
  settings.retries = 2;
  settings.wait_s = 0.001;
  return settings;
}

const std::string kContent = content_of(300'000);

/// Downloads kContent as x; the server's faults and what is here already are the case's.
struct Case {
  Case() { hub.files["x"] = kContent; }

  Status run() {
    const FileToDownload file{hub.url("x"), folder.file("x"), static_cast<std::int64_t>(kContent.size()), sum};
    return download_file(file, settings_of(hub, folder), [](std::int64_t) {});
  }
  std::string found(const std::string& name = "x") const {
    const auto text = read_file(folder.file(name), 1 << 20);
    return text ? *text : "(none)";
  }
  void check_complete(const Status& status) const {
    INFO((status ? "" : status.error().text()));
    CHECK(status);
    CHECK(found() == kContent);
    CHECK_FALSE(fs::exists(folder.file("x.incomplete")));
  }

  Hub hub;
  TempFolder folder;
  std::string sum = sha_of(kContent);
};

TEST_CASE("a file comes whole") {
  Case c;
  c.check_complete(c.run());
  CHECK(c.hub.ranges == std::vector<std::string>{""});
}

TEST_CASE("a cut transfer goes on where it stopped") {
  Case c;
  c.hub.faults = {Fault::cut, Fault::cut, Fault::none};
  c.check_complete(c.run());
  REQUIRE(c.hub.ranges.size() == 3);
  CHECK(c.hub.ranges[1] == "bytes=150000-");
  CHECK(c.hub.ranges[2] == "bytes=225000-");
}

TEST_CASE("a server that stalls or is busy is asked again") {
  Case c;
  c.hub.faults = {GENERATE(Fault::stall, Fault::busy), Fault::none};
  c.check_complete(c.run());
}

TEST_CASE("what an earlier run left is continued") {
  Case c;
  c.folder.write("x.incomplete", kContent.substr(0, 100'000));
  c.check_complete(c.run());
  CHECK(c.hub.ranges == std::vector<std::string>{"bytes=100000-"});
}

TEST_CASE("a whole partial file is only checked") {
  Case c;
  c.folder.write("x.incomplete", kContent);
  c.check_complete(c.run());
  CHECK(c.hub.ranges.empty());
}

TEST_CASE("a damaged or overlong partial file is fetched again") {
  Case c;
  c.folder.write("x.incomplete", GENERATE(std::string(100'000, 'x'), kContent + "longer"));
  c.check_complete(c.run());
}

TEST_CASE("servers without ranges, with wrong ones and status 416 end in a whole file") {
  Case c;
  c.folder.write("x.incomplete", kContent.substr(0, 100'000));
  c.hub.faults = {GENERATE(Fault::no_ranges, Fault::wrong_range, Fault::unsatisfiable), Fault::none};
  c.check_complete(c.run());
}

struct Refusal {
  std::vector<Fault> faults;
  ErrorCode code;
  std::string message;
};

TEST_CASE("lasting faults are clear errors, and what has come is kept") {
  const auto refusal = GENERATE(values<Refusal>({
      {{Fault::missing}, ErrorCode::not_found, "status 404: no such file"},
      {{Fault::refused}, ErrorCode::permission, "status 403: set HF_TOKEN"},
      {{Fault::busy}, ErrorCode::io, "the server answers with status 503"},
      {{Fault::cut, Fault::missing}, ErrorCode::not_found, "status 404"},
      {{Fault::cut, Fault::busy}, ErrorCode::io, "status 503"},
  }));
  Case c;
  c.hub.faults = refusal.faults;
  const Status status = c.run();
  REQUIRE_FALSE(status);
  CHECK(status.error().code == refusal.code);
  CHECK_THAT(status.error().message, Contains(refusal.message));
  CHECK_FALSE(fs::exists(c.folder.file("x")));
  const bool cut = refusal.faults[0] == Fault::cut;
  CHECK(c.found("x.incomplete") == kContent.substr(0, cut ? 150'000 : 0));
  c.hub.faults.clear();
  c.check_complete(c.run());
}

TEST_CASE("a server that is not there is a clear error") {
  Case c;
  const FileToDownload file{"http://127.0.0.1:9/x", c.folder.file("x"), 5, ""};
  const Status status = download_file(file, settings_of(c.hub, c.folder), [](std::int64_t) {});
  REQUIRE_FALSE(status);
  CHECK(status.error().code == ErrorCode::io);
  CHECK_THAT(status.error().message, Contains("the transfer failed"));
  const FileToDownload other{"ftp://127.0.0.1/x", c.folder.file("x"), 5, ""};
  CHECK(download_file(other, settings_of(c.hub, c.folder), [](std::int64_t) {}).error().code == ErrorCode::unsupported);
}

TEST_CASE("more bytes than announced are refused") {
  Case c;
  c.hub.faults = {Fault::too_long};
  const Status status = c.run();
  REQUIRE_FALSE(status);
  CHECK_THAT(status.error().message, Contains("sends more than the 300000 bytes announced"));
}

TEST_CASE("a wrong checksum leaves nothing behind that would be continued") {
  Case c;
  c.sum = sha_of("something else");
  const Status status = c.run();
  REQUIRE_FALSE(status);
  CHECK(status.error().code == ErrorCode::data);
  CHECK_THAT(status.error().message, Contains("wrong checksum (sha256 " + sha_of(kContent) + ", expected " + c.sum));
  CHECK_FALSE(fs::exists(c.folder.file("x")));
  CHECK(c.found("x.incomplete").empty());
}

TEST_CASE("a full disk is a clear error, and the partial file is continued later") {
  Case c;
  const pid_t child = fork();
  if (child == 0) {  // in a process of its own: the limit would stay
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100'000, 100'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    const Status status = c.run();
    const bool right = !status && status.error().code == ErrorCode::io &&
                       status.error().message.starts_with("file size limit reached; 100000 bytes are kept");
    _exit(right ? 0 : 1);
  }
  int outcome = 0;
  REQUIRE(waitpid(child, &outcome, 0) == child);
  CHECK(outcome == 0);
  CHECK(c.found("x.incomplete") == kContent.substr(0, 100'000));
  c.check_complete(c.run());
}

TEST_CASE("two downloads of one file do not mix") {
  Case c;
  const std::string path = c.folder.write("x.incomplete", "");
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(flock(descriptor, LOCK_EX) == 0);
  const Status status = c.run();
  ::close(descriptor);
  REQUIRE_FALSE(status);
  CHECK(status.error().message == "is being downloaded by another process");
}

// --- Repositories -------------------------------------------------------------------------------------

struct Repository {
  Repository() {
    hub.files = {{"config.json", "{}"},           {"tokenizer.json", "{ }"}, {"model.safetensors", kContent},
                 {"pytorch_model.bin", "unused"}, {"README.md", "unused"},   {"modeling_florence2.py", "unused"}};
  }
  Result<std::string> run(bool offline = false) {
    HubSettings settings = settings_of(hub, folder);
    settings.offline = offline;
    settings.token = "secret";
    return download_repository(*parse_repository("base"), settings, [](const HubFile&, std::int64_t) {});
  }

  Hub hub;
  TempFolder folder;
};

TEST_CASE("a repository lands in the hub's layout, with one form of the weights") {
  Repository r;
  const auto folder = r.run();
  INFO((folder ? "" : folder.error().text()));
  REQUIRE(folder);
  const std::string root = r.folder.file("models--microsoft--Florence-2-base");
  CHECK(*folder == root + "/snapshots/" + kCommit);
  CHECK(*read_file(root + "/refs/main", 100) == kCommit);
  CHECK(fs::read_symlink(*folder + "/model.safetensors") == "../../blobs/" + sha_of(kContent));
  CHECK(*read_file(*folder + "/model.safetensors", 1 << 20) == kContent);
  CHECK(*read_file(*folder + "/config.json", 10) == "{}");
  CHECK(std::distance(fs::directory_iterator(*folder), fs::directory_iterator()) == 3);
  CHECK(r.hub.authorized == 3);

  SECTION("and is found again without a transfer") {
    r.hub.ranges.clear();
    REQUIRE(r.run());
    CHECK(r.hub.ranges.empty());
    const auto offline = r.run(true);
    REQUIRE(offline);
    CHECK(*offline == *folder);
    CHECK(HubCache(r.folder.path(), *parse_repository("microsoft/Florence-2-base")).find() == *folder);
    CHECK(HubCache(r.folder.path(), *parse_repository("microsoft/Florence-2-base@" + kCommit)).find() == *folder);
    CHECK_FALSE(HubCache(r.folder.path(), *parse_repository("base-ft")).find());
  }
}

TEST_CASE("files that another tool brought are used") {
  Repository r;
  const std::string blobs = r.folder.file("models--microsoft--Florence-2-base/blobs");
  fs::create_directories(blobs);
  r.folder.write("models--microsoft--Florence-2-base/blobs/" + sha_of(kContent), kContent);
  REQUIRE(r.run());
  CHECK(r.hub.ranges.size() == 2);  // the two small files
}

TEST_CASE("a repository with a wrong checksum is not put together") {
  Repository r;
  r.hub.lie_about_checksum = true;
  const auto folder = r.run();
  REQUIRE_FALSE(folder);
  CHECK(folder.error().code == ErrorCode::data);
  CHECK_FALSE(r.run(true));
}

TEST_CASE("unknown repositories and an empty cache are clear errors") {
  Repository r;
  const auto offline = r.run(true);
  REQUIRE_FALSE(offline);
  CHECK(offline.error().code == ErrorCode::not_found);
  CHECK_THAT(offline.error().message, Contains("microsoft/Florence-2-base is not in the cache"));
  const auto unknown = download_repository(*parse_repository("some/thing"), settings_of(r.hub, r.folder),
                                           [](const HubFile&, std::int64_t) {});
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().code == ErrorCode::not_found);
  CHECK_THAT(unknown.error().message, Contains("no such repository or revision"));
}

struct BadListing {
  std::string answer, message;
};

TEST_CASE("answers that are no listings are refused") {
  const std::string sha = R"("sha":"0123456789abcdef")";
  const auto bad = GENERATE_COPY(values<BadListing>({
      {"[]", "\"sha\" is no commit"},
      {R"({"sha":"../../x","siblings":[]})", "\"sha\" is no commit"},
      {"{" + sha + "}", "\"siblings\" is missing"},
      {"{" + sha + R"(,"siblings":[{"rfilename":"config.json","size":2,"blobId":"0123456789"}]})", "no weights"},
      {"{" + sha + R"(,"siblings":[{"rfilename":"model.safetensors","size":2,"blobId":"../../../x"}]})",
       "\"model.safetensors\" has no size or no checksum"},
      {"{" + sha + R"(,"siblings":[{"rfilename":"model.safetensors","size":-2,"blobId":"0123456789"}]})",
       "no size or no checksum"},
      {"{" + sha + R"(,"siblings":[{"rfilename":"model-/../x.safetensors","size":2,"blobId":"0123456789"},
                      {"rfilename":"model.safetensors.index.json","size":2,"blobId":"0123456789"}]})",
       "no size or no checksum"},
  }));
  const auto listing = read_listing(*json::parse(bad.answer));
  INFO(bad.answer);
  REQUIRE_FALSE(listing);
  CHECK_THAT(listing.error().message, Contains(bad.message));
}

TEST_CASE("names of repositories") {
  CHECK(parse_repository("base")->id() == "microsoft/Florence-2-base");
  CHECK(parse_repository("large-ft@abc")->revision == "abc");
  CHECK(parse_repository("a-b/c_d.e")->id() == "a-b/c_d.e");
  CHECK(parse_repository("a/b@refs/pr/6")->revision == "refs/pr/6");
  for (const char* bad :
       {"", "huge", "a/b/c", "../b", "a/..", "/a", "a/", "./model", "a/b@", "a/b@../x", "a/b@/x", "a b/c"}) {
    INFO(bad);
    CHECK_FALSE(parse_repository(bad));
  }
}

}  // namespace
}  // namespace florence2
