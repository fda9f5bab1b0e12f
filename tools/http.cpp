#include "tools/http.hpp"

#ifdef FLORENCE2_DOWNLOAD
#include <httplib.h>
#endif

namespace florence2 {

#ifdef FLORENCE2_DOWNLOAD

namespace {

constexpr int kMostRedirects = 5;
constexpr int kConnectSeconds = 10;

struct Url {
  std::string origin, path;  // "https://host:port", "/…"
};

Result<Url> parse_url(const std::string& text) {
  const std::size_t scheme = text.find("://");
  const std::string name = text.substr(0, scheme);
  if (scheme == text.npos || (name != "http" && name != "https")) {
    return Error{ErrorCode::unsupported, "not an address of HTTP or HTTPS", text};
  }
  const std::size_t slash = std::min(text.find('/', scheme + 3), text.size());
  return Url{text.substr(0, slash), slash == text.size() ? "/" : text.substr(slash)};
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

struct Answer {
  HttpResponse response;
  std::string location;
};

Status get_once(const Url& url, const HttpRequest& request, const std::string& token, const HttpReceiver& receiver,
                Answer& answer) {
  httplib::Client client(url.origin);
  client.set_connection_timeout(kConnectSeconds);
  client.set_read_timeout(request.timeout_s);
  client.set_decompress(false);
  httplib::Headers headers{{"User-Agent", "florence2"}, {"Accept-Encoding", "identity"}};
  if (!token.empty()) headers.emplace("Authorization", "Bearer " + token);
  if (request.first_byte > 0) headers.emplace("Range", "bytes=" + std::to_string(request.first_byte) + "-");

  const auto on_head = [&](const httplib::Response& head) {
    answer.response.status = head.status;
    answer.response.content_range = head.get_header_value("Content-Range");
    answer.location = head.get_header_value("Location");
    return is_redirect(head.status) || receiver.head(answer.response);
  };
  const auto on_body = [&](const char* data, std::size_t size) {
    return is_redirect(answer.response.status) || receiver.body({data, size});
  };
  const httplib::Result result = client.Get(url.path, headers, on_head, on_body);
  if (result || result.error() == httplib::Error::Canceled) return {};
  if (result.error() == httplib::Error::SSLServerVerification) {
    return Error{ErrorCode::permission,
                 "the server's certificate is not accepted: it is for another host, not valid now, or not signed by an "
                 "authority of this system or of SSL_CERT_FILE",
                 url.origin + url.path};
  }
  return Error{ErrorCode::io, "the transfer failed (" + httplib::to_string(result.error()) + ")",
               url.origin + url.path};
}

}  // namespace

Result<HttpResponse> http_get(const HttpRequest& request, const HttpReceiver& receiver) {
  FL_ASSIGN(Url url, parse_url(request.url));
  const std::string first_origin = url.origin;
  for (int redirects = 0; redirects <= kMostRedirects; ++redirects) {
    const std::string token = url.origin == first_origin ? request.token : std::string();
    Answer answer;
    FL_TRY(get_once(url, request, token, receiver, answer));
    if (!is_redirect(answer.response.status)) return answer.response;
    const bool is_relative = answer.location.starts_with('/');
    FL_ASSIGN(url, parse_url(is_relative ? url.origin + answer.location : answer.location));
  }
  return Error{ErrorCode::io, "redirected more than five times", request.url};
}

#else

Result<HttpResponse> http_get(const HttpRequest& request, const HttpReceiver&) {
  return Error{ErrorCode::unsupported, "this build cannot download (FLORENCE2_DOWNLOAD was off)", request.url};
}

#endif

}  // namespace florence2
