// One GET over HTTP or HTTPS. The only file, with its source, that touches the network.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace florence2 {

struct HttpRequest {
  std::string url;
  std::string token = {};       ///< sent to the URL's own host, not to where it redirects
  std::int64_t first_byte = 0;  ///< above 0: asks for the rest from here
  int timeout_s = 30;
};

struct HttpResponse {
  int status = 0;
  std::string content_range;
};

/// Takes the head of the final answer, then its body in pieces; false ends the transfer, which is then no error.
struct HttpReceiver {
  std::function<bool(const HttpResponse& response)> head;
  std::function<bool(std::string_view piece)> body;
};

/// Follows up to five redirections. Any status is a success here. Errors: io (no connection, cut), unsupported (a build
/// without it, other protocols).
Result<HttpResponse> http_get(const HttpRequest& request, const HttpReceiver& receiver);

}  // namespace florence2
