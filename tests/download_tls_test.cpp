// Downloads over HTTPS from a server on this machine: only a certificate for this host from a trusted authority will
// do.
#include <httplib.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <thread>

#include "core/file.hpp"
#include "tests/temp_folder.hpp"
#include "tools/download_file.hpp"

namespace florence2 {
namespace {

using Catch::Matchers::Contains;
using test::TempFolder;

const std::string kContent(100'000, 'w');

/// Makes `name`.crt and `name`.key, signed by itself, for a host; false where there is no openssl program.
bool make_certificate(const TempFolder& folder, const std::string& name, const std::string& host) {
  const std::string command =
      "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext 'subjectAltName=" + host +
      "' -keyout '" + folder.file(name + ".key") + "' -out '" + folder.file(name + ".crt") + "' 2>/dev/null";
  return std::system(command.c_str()) == 0;
}

class SecureServer {
 public:
  SecureServer(const std::string& certificate, const std::string& key) : server_(certificate.c_str(), key.c_str()) {
    server_.Get("/x", [this](const httplib::Request&, httplib::Response& answer) {
      ++requests;
      answer.set_content(kContent, "application/octet-stream");
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~SecureServer() {
    server_.stop();
    thread_.join();
  }

  std::string url() const { return "https://127.0.0.1:" + std::to_string(port_) + "/x"; }
  std::atomic<int> requests = 0;

 private:
  httplib::SSLServer server_;
  std::thread thread_;
  int port_ = 0;
};

struct Case {
  const char* host;     // the certificate's
  const char* trusted;  // the certificate in SSL_CERT_FILE
  bool accepted;
};

TEST_CASE("only a trusted certificate for this host is accepted") {
  const Case c = GENERATE(Case{"IP:127.0.0.1", "server", true}, Case{"DNS:elsewhere.example", "server", false},
                          Case{"IP:127.0.0.1", "other", false});
  INFO(c.host << ", trusting " << c.trusted);
  const TempFolder folder;
  if (!make_certificate(folder, "server", c.host) || !make_certificate(folder, "other", "IP:127.0.0.1")) {
    WARN("no openssl program to make certificates with: not tested");
    return;
  }
  setenv("SSL_CERT_FILE", folder.file(std::string(c.trusted) + ".crt").c_str(), 1);
  setenv("SSL_CERT_DIR", folder.path().c_str(), 1);  // the system's authorities are left out
  SecureServer server(folder.file("server.crt"), folder.file("server.key"));
  HubSettings settings;
  settings.timeout_s = 2;
  settings.retries = 2;
  settings.wait_s = 0.001;
  const FileToDownload file{server.url(), folder.file("x"), static_cast<std::int64_t>(kContent.size()), ""};
  const Status status = download_file(file, settings, [](std::int64_t) {});
  INFO((status ? "" : status.error().text()));
  REQUIRE(bool(status) == c.accepted);
  CHECK(server.requests == (c.accepted ? 1 : 0));
  if (c.accepted) {
    const auto text = read_file(folder.file("x"), 1 << 20);
    REQUIRE(text);
    CHECK(*text == kContent);
  } else {
    CHECK(status.error().code == ErrorCode::permission);
    CHECK_THAT(status.error().message, Contains("certificate is not accepted"));
    CHECK(status.error().text().find('\n') == std::string::npos);
  }
}

}  // namespace
}  // namespace florence2
