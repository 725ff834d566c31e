// What both programs of the bench need of HTTP/1.1 and of sockets, and not a byte more.
// Linux only: the programs beside this file use epoll.
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace wire {

using Nanoseconds = std::int64_t;
constexpr Nanoseconds kMillisecond = 1'000'000;
constexpr Nanoseconds kSecond = 1'000'000'000;

inline Nanoseconds now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}

// A bench that goes on after an error measures the error.
[[noreturn]] inline void fail(const std::string& what) {
  std::fprintf(stderr, "%s (errno: %s)\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

inline void make_quick(int socket) {
  int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK);
}

inline sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// The head of a request or a response. `first_line` points into the parsed bytes.
struct Head {
  std::size_t size = 0;
  std::string_view first_line;
  std::size_t content_length = 0;
  bool chunked = false;
};

inline bool is_field(std::string_view line, std::string_view name) {
  return line.size() > name.size() && line[name.size()] == ':' &&
         strncasecmp(line.data(), name.data(), name.size()) == 0;
}

// None until the empty line has arrived.
inline std::optional<Head> parse_head(std::string_view bytes) {
  const std::size_t end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  Head head;
  head.size = end + 4;
  std::size_t at = bytes.find("\r\n");
  head.first_line = bytes.substr(0, at);
  while (at < end) {
    const std::size_t next = bytes.find("\r\n", at + 2);
    const std::string_view line = bytes.substr(at + 2, next - at - 2);
    if (is_field(line, "content-length")) {
      head.content_length = std::strtoul(line.data() + sizeof "content-length", nullptr, 10);
    } else if (is_field(line, "transfer-encoding")) {
      head.chunked = line.find("chunked") != std::string_view::npos;
    }
    at = next;
  }
  return head;
}

// Takes the chunked transfer coding off a body that arrives in pieces.
class Dechunker {
 public:
  // Moves the decoded bytes of `raw` to the end of `body`; true once the last chunk has been read.
  bool feed(std::string& raw, std::string& body) {
    std::size_t at = 0;
    while (!done_) {
      if (left_ > 2) {  // bytes of the chunk and its CRLF are still to come
        const std::size_t data = std::min(left_ - 2, raw.size() - at);
        body.append(raw, at, data);
        at += data;
        left_ -= data;
        if (left_ > 2) break;
      }
      if (left_ > 0) {
        if (raw.size() - at < left_) break;
        at += left_;
        left_ = 0;
      }
      const std::size_t end = raw.find("\r\n", at);
      if (end == std::string::npos) break;
      const std::size_t size = std::strtoul(raw.c_str() + at, nullptr, 16);
      if (size == 0) {  // no trailers are sent by anything in this bench: an empty line follows
        if (raw.size() < end + 4) break;
        at = end + 4;
        done_ = true;
      } else {
        at = end + 2;
        left_ = size + 2;
      }
    }
    raw.erase(0, at);
    return done_;
  }

 private:
  std::size_t left_ = 0;
  bool done_ = false;
};

}  // namespace wire
