// A model server that costs next to nothing: OpenAI chat on two loopback ports, from one epoll loop.
//
// Prints `{"ports":[A,B]}` and serves until its standard input closes, so that it never outlives the bench.
// A prompt holding `pace=F,G;` gets its first token after F ms and each later one G ms apart; without it, tokens
// leave as fast as the socket takes them. The order lies in the prompt because a proxy under test may drop headers
// and fields that it does not know. Every token is one event, one HTTP chunk and one write.
#include <signal.h>
#include <sys/epoll.h>

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <vector>

#include "wire.hpp"

namespace {

using wire::Nanoseconds;

std::string event(const std::string& choices, const std::string& usage = "") {
  return "data: "
         "{\"id\":\"chatcmpl-7d3f0c2b9a51\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":"
         "\"bench\",\"system_fingerprint\":\"b1\",\"choices\":[" +
         choices + "]" + usage + "}\n\n";
}

std::string chunk(const std::string& data) {
  char size[16];
  std::snprintf(size, sizeof size, "%zx\r\n", data.size());
  return size + data + "\r\n";
}

std::string usage(int tokens) {
  return ",\"usage\":{\"prompt_tokens\":256,\"completion_tokens\":" + std::to_string(tokens) +
         ",\"total_tokens\":" + std::to_string(256 + tokens) + "}";
}

const std::string kFirstToken = chunk(event(
    "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\" oat\"},\"logprobs\":null,\"finish_reason\":null}"));
const std::string kToken =
    chunk(event("{\"index\":0,\"delta\":{\"content\":\" oat\"},\"logprobs\":null,\"finish_reason\":null}"));
const std::string kFinish = chunk(event("{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"length\"}"));
const std::string kDone = chunk("data: [DONE]\n\n") + "0\r\n\r\n";
const std::string kStreamHead =
    "HTTP/1.1 200 OK\r\nserver: mock\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    "transfer-encoding: chunked\r\n\r\n";

std::string reply(const char* status, const std::string& body) {
  return std::string("HTTP/1.1 ") + status +
         "\r\nserver: mock\r\ncontent-type: application/json\r\ncontent-length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

std::string whole_answer() {
  std::string text;
  while (text.size() < 700) text += " oat";
  return reply("200 OK",
               "{\"id\":\"chatcmpl-7d3f0c2b9a51\",\"object\":\"chat.completion\",\"created\":1767225600,\"model\":"
               "\"bench\",\"system_fingerprint\":\"b1\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
               "\"content\":\"" +
                   text + "\"},\"logprobs\":null,\"finish_reason\":\"stop\"}]" + usage(175) + "}");
}

const std::string kWhole = whole_answer();
const std::string kHealthy = reply("200 OK", "{\"status\":\"ok\"}");
const std::string kModels = reply("200 OK",
                                  "{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\",\"created\":"
                                  "1767225600,\"owned_by\":\"mock\",\"max_model_len\":8192}]}");
const std::string kUnknown = reply("404 Not Found", "{\"error\":{\"message\":\"the mock has no such route\"}}");
const std::string kLengthNeeded = reply("411 Length Required", "{\"error\":{\"message\":\"send content-length\"}}");

// The number after `key` and any of `skip`, or `otherwise`.
long number_after(std::string_view body, std::string_view key, long otherwise) {
  const std::size_t found = body.find(key);
  if (found == std::string_view::npos) return otherwise;
  const std::size_t digit = body.find_first_not_of(": ", found + key.size());
  return digit == std::string_view::npos ? otherwise : std::strtol(body.data() + digit, nullptr, 10);
}

bool is_true(std::string_view body, std::string_view key) {
  const std::size_t found = body.find(key);
  if (found == std::string_view::npos) return false;
  const std::size_t value = body.find_first_not_of(": ", found + key.size());
  return value != std::string_view::npos && body.compare(value, 4, "true") == 0;
}

struct Connection {
  int socket = -1;
  std::string received;
  std::string unsent;    // what the socket did not take; a stream waits until it is empty
  long tokens = 0;       // of the running stream
  long tokens_left = 0;  // 0 when no stream runs
  bool with_usage = false;
  Nanoseconds due = 0;  // when the next token leaves
  Nanoseconds gap = 0;
};

class Engine {
 public:
  Engine() : poller_(epoll_create1(0)) {
    watch(STDIN_FILENO, EPOLLIN);
    for (int& listener : listeners_) listener = listen_anywhere();
    std::printf("{\"ports\":[%d,%d]}\n", port_of(listeners_[0]), port_of(listeners_[1]));
    std::fflush(stdout);
  }

  void run() {
    epoll_event events[256];
    for (;;) {
      const timespec wait = until_next_token();
      // Sub-millisecond timers: epoll_wait would round a 10 ms gap and call it the proxy's delay.
      const int count = epoll_pwait2(poller_, events, 256, streams_.empty() ? nullptr : &wait, nullptr);
      for (int index = 0; index < count; ++index) {
        if (events[index].data.fd == STDIN_FILENO) return;
        handle(events[index]);
      }
      stream_due_tokens();
    }
  }

 private:
  void watch(int descriptor, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.fd = descriptor;
    if (epoll_ctl(poller_, EPOLL_CTL_ADD, descriptor, &event) < 0) wire::fail("mock: epoll_ctl");
  }

  int listen_anywhere() {
    const int listener = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    sockaddr_in address = wire::loopback(0);
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) wire::fail("mock: bind");
    if (listen(listener, 1024) < 0) wire::fail("mock: listen");
    wire::make_quick(listener);
    watch(listener, EPOLLIN);
    return listener;
  }

  static int port_of(int listener) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
  }

  void handle(const epoll_event& event) {
    const int descriptor = event.data.fd;
    if (descriptor == listeners_[0] || descriptor == listeners_[1]) return accept_all(descriptor);
    const auto found = connections_.find(descriptor);
    if (found == connections_.end()) return;
    Connection& connection = *found->second;
    if ((event.events & EPOLLOUT) && !flush(connection)) return close_connection(connection);
    if ((event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !receive(connection)) close_connection(connection);
  }

  void accept_all(int listener) {
    for (int accepted; (accepted = accept(listener, nullptr, nullptr)) >= 0;) {
      wire::make_quick(accepted);
      auto connection = std::make_unique<Connection>();
      connection->socket = accepted;
      connections_[accepted] = std::move(connection);
      watch(accepted, EPOLLIN);
    }
  }

  bool receive(Connection& connection) {
    char bytes[16384];
    for (;;) {
      const ssize_t size = read(connection.socket, bytes, sizeof bytes);
      if (size == 0 || (size < 0 && errno != EAGAIN)) return false;
      if (size < 0) break;
      connection.received.append(bytes, static_cast<std::size_t>(size));
      if (static_cast<std::size_t>(size) < sizeof bytes) break;
    }
    while (connection.tokens_left == 0) {
      const auto head = wire::parse_head(connection.received);
      if (!head || connection.received.size() < head->size + head->content_length) break;
      const std::size_t whole = head->size + head->content_length;
      if (!answer(connection, *head, std::string_view(connection.received).substr(head->size, head->content_length))) {
        return false;
      }
      connection.received.erase(0, whole);
    }
    return true;
  }

  bool answer(Connection& connection, const wire::Head& head, std::string_view body) {
    const std::string_view line = head.first_line;
    if (head.chunked) return send(connection, kLengthNeeded);
    if (line.starts_with("GET /health") || line.starts_with("GET /ping")) return send(connection, kHealthy);
    if (line.starts_with("GET /v1/models")) return send(connection, kModels);
    if (!line.starts_with("POST /v1/chat/completions")) return send(connection, kUnknown);
    if (!is_true(body, "\"stream\"")) return send(connection, kWhole);
    const std::size_t pace = body.find("pace=");
    const Nanoseconds first = number_after(body, "pace=", 0) * wire::kMillisecond;
    connection.gap = pace == std::string_view::npos ? 0 : number_after(body.substr(pace), ",", 0) * wire::kMillisecond;
    connection.tokens = connection.tokens_left = std::max(1L, number_after(body, "\"max_tokens\"", 16));
    connection.with_usage = is_true(body, "\"include_usage\"");
    connection.due = wire::now() + first;
    streams_.push_back(&connection);
    return send(connection, kStreamHead);
  }

  bool send(Connection& connection, const std::string& bytes) {
    if (!connection.unsent.empty()) {
      connection.unsent += bytes;
      return true;
    }
    const ssize_t sent = write(connection.socket, bytes.data(), bytes.size());
    if (sent == static_cast<ssize_t>(bytes.size())) return true;
    if (sent < 0 && errno != EAGAIN) return false;
    connection.unsent.assign(bytes, sent < 0 ? 0 : static_cast<std::size_t>(sent));
    return rearm(connection, EPOLLIN | EPOLLOUT);
  }

  bool flush(Connection& connection) {
    const ssize_t sent = write(connection.socket, connection.unsent.data(), connection.unsent.size());
    if (sent < 0) return errno == EAGAIN;
    connection.unsent.erase(0, static_cast<std::size_t>(sent));
    return !connection.unsent.empty() || rearm(connection, EPOLLIN);
  }

  bool rearm(Connection& connection, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.fd = connection.socket;
    return epoll_ctl(poller_, EPOLL_CTL_MOD, connection.socket, &event) == 0;
  }

  timespec until_next_token() const {
    Nanoseconds next = wire::kSecond;
    const Nanoseconds now = streams_.empty() ? 0 : wire::now();
    for (const Connection* stream : streams_) {
      if (stream->unsent.empty()) next = std::min(next, std::max<Nanoseconds>(stream->due - now, 0));
    }
    return {next / wire::kSecond, next % wire::kSecond};
  }

  // One token for each stream whose time has come. Backwards, so that an ended stream can give its place away.
  void stream_due_tokens() {
    const Nanoseconds now = streams_.empty() ? 0 : wire::now();
    for (std::size_t index = streams_.size(); index-- > 0;) {
      Connection& stream = *streams_[index];
      if (stream.due > now || !stream.unsent.empty()) continue;
      const bool first = stream.tokens_left == stream.tokens;
      bool alive = send(stream, first ? kFirstToken : kToken);
      stream.due += stream.gap;
      if (alive && --stream.tokens_left == 0) {
        alive = send(stream, kFinish + (stream.with_usage ? chunk(event("", usage(stream.tokens))) : "") + kDone);
        streams_[index] = streams_.back();
        streams_.pop_back();
        alive = alive && receive(stream);  // a request that arrived early would otherwise wait for another byte
      }
      if (!alive) close_connection(stream);
    }
  }

  void close_connection(Connection& connection) {
    streams_.erase(std::remove(streams_.begin(), streams_.end(), &connection), streams_.end());
    close(connection.socket);
    connections_.erase(connection.socket);
  }

  int poller_;
  int listeners_[2];
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> streams_;
};

}  // namespace

int main() {
  signal(SIGPIPE, SIG_IGN);
  Engine().run();
  return 0;
}
