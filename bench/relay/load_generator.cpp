// Clients that keep their connections, ask one after the other, check every answer and measure it.
//
//   load_generator --port N --connections C --seconds S [--tokens T [--first-ms F --gap-ms G]] [--bearer-file PATH]
//                  [--dialect chat|messages|responses|ollama_chat]
//
// With --tokens the answers are streams of T tokens, otherwise whole replies. With a pace, the clients begin spread
// over the length of one stream: 64 of them at once would measure a queue that no crowd of people makes. No request
// begins after S seconds; those under way are finished. Prints one line of JSON, or what was wrong and exit status 1.
#include <sched.h>
#include <sys/epoll.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <vector>

#include "wire.hpp"

namespace {

using wire::Nanoseconds;

// How a dialect is asked, and by what its answers are known.
struct Dialect {
  const char* path;
  const char* conversation;  // before the prompt
  const char* settings;      // behind it
  const char* limit;         // what bounds an answer, up to its number
  const char* limit_end;     // and behind it
  const char* count;         // stands in every whole answer
  const char* last_event;    // stands in the last event of a whole stream
  const char* event_end = "\n\n";
};

const std::map<std::string, Dialect> kDialects = {
    {"chat",
     {"/v1/chat/completions",
      "\"messages\":[{\"role\":\"system\",\"content\":\"You are a cook and answer briefly.\"},"
      "{\"role\":\"user\",\"content\":\"",
      "\"}],\"temperature\":0.7,\"top_p\":0.95", ",\"max_tokens\":", "", "\"total_tokens\"", "data: [DONE]"}},
    {"messages",
     {"/v1/messages",
      "\"system\":\"You are a cook and answer briefly.\",\"messages\":[{\"role\":\"user\",\"content\":\"",
      "\"}],\"temperature\":0.7,\"top_p\":0.95", ",\"max_tokens\":", "", "\"output_tokens\"", "event: message_stop"}},
    {"responses",
     {"/v1/responses", "\"instructions\":\"You are a cook and answer briefly.\",\"input\":\"",
      "\",\"temperature\":0.7,\"top_p\":0.95", ",\"max_output_tokens\":", "", "\"total_tokens\"",
      "event: response.incomplete"}},
    {"ollama_chat",
     {"/api/chat",
      "\"messages\":[{\"role\":\"system\",\"content\":\"You are a cook and answer briefly.\"},"
      "{\"role\":\"user\",\"content\":\"",
      "\"}]", ",\"options\":{\"temperature\":0.7,\"top_p\":0.95,\"num_predict\":", "}", "\"eval_count\"",
      "\"done\":true", "\n"}},
};

struct Options {
  int port = 0;
  int connections = 1;
  double seconds = 1;
  long tokens = 0;
  long first_ms = 0;
  long gap_ms = 0;
  std::string bearer;
  std::string dialect_name = "chat";
  Dialect dialect = kDialects.at("chat");

  bool streamed() const { return tokens > 0; }
  Nanoseconds stream_length() const { return (first_ms + gap_ms * tokens) * wire::kMillisecond; }
};

Options parse(int count, char** arguments) {
  std::map<std::string, std::string> given;
  for (int index = 1; index + 1 < count; index += 2) given[arguments[index]] = arguments[index + 1];
  const auto number = [&given](const char* name, double otherwise) {
    return given.count(name) ? std::strtod(given[name].c_str(), nullptr) : otherwise;
  };
  Options options;
  options.port = static_cast<int>(number("--port", 0));
  options.connections = static_cast<int>(number("--connections", 1));
  options.seconds = number("--seconds", 1);
  options.tokens = static_cast<long>(number("--tokens", 0));
  options.first_ms = static_cast<long>(number("--first-ms", 0));
  options.gap_ms = static_cast<long>(number("--gap-ms", 0));
  if (given.count("--dialect")) {
    const auto dialect = kDialects.find(given["--dialect"]);
    if (dialect == kDialects.end()) wire::fail("load: no such dialect: " + given["--dialect"]);
    options.dialect_name = dialect->first;
    options.dialect = dialect->second;
  }
  if (given.count("--bearer-file")) std::ifstream(given["--bearer-file"]) >> options.bearer;
  if (options.port == 0) wire::fail("load: --port is missing");
  return options;
}

// About 1.2 kB of JSON, as the first turn of a chat with a short system prompt has.
std::string request_bytes(const Options& options) {
  std::string prompt = "Why do porridge makers prefer one kind of grain?";
  while (prompt.size() < 900) prompt += " Consider taste, price and patience.";
  if (options.first_ms + options.gap_ms > 0) {
    prompt += " pace=" + std::to_string(options.first_ms) + "," + std::to_string(options.gap_ms) + ";";
  }
  const Dialect& dialect = options.dialect;
  std::string body = std::string("{\"model\":\"bench\",") + dialect.conversation + prompt + dialect.settings;
  // A whole answer is as long as the engine makes it; some dialects want to hear a limit all the same.
  if (options.streamed() || options.dialect_name != "chat") {
    body += dialect.limit + std::to_string(std::max(options.tokens, 1L)) + dialect.limit_end;
  }
  body += options.streamed() ? ",\"stream\":true}" : options.dialect_name == "chat" ? "}" : ",\"stream\":false}";
  return std::string("POST ") + dialect.path + " HTTP/1.1\r\nhost: 127.0.0.1:" + std::to_string(options.port) +
         "\r\ncontent-type: application/json\r\naccept: */*\r\nuser-agent: bench\r\n" +
         (options.bearer.empty() ? "" : "authorization: Bearer " + options.bearer + "\r\n") +
         "content-length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

double percentile_ms(std::vector<Nanoseconds>& samples, double share) {
  if (samples.empty()) return 0;
  const auto rank = static_cast<std::size_t>(share * static_cast<double>(samples.size() - 1));
  std::nth_element(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(rank), samples.end());
  return static_cast<double>(samples[rank]) / wire::kMillisecond;
}

struct Client {
  int socket = -1;
  bool busy = false;
  Nanoseconds begins = 0;  // when it may ask for the first time
  Nanoseconds asked = 0;
  std::string received;  // as read: the head, or a body that is still in chunks
  std::string body;      // without chunks; of a stream, what is not yet a whole event
  bool in_body = false;
  wire::Head head;
  wire::Dechunker dechunker;
  long tokens = 0;
  Nanoseconds last_token = 0;
  bool saw_done = false;
};

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options), request_(request_bytes(options)), poller_(epoll_create1(0)), clients_(options.connections) {}

  void run() {
    for (Client& client : clients_) connect_client(client);
    started_ = wire::now();
    const Nanoseconds deadline = started_ + static_cast<Nanoseconds>(options_.seconds * wire::kSecond);
    const Nanoseconds last_answer = deadline + options_.stream_length() + 20 * wire::kSecond;
    for (std::size_t index = 0; index < clients_.size(); ++index) {
      clients_[index].begins =
          started_ + options_.stream_length() * static_cast<Nanoseconds>(index) / options_.connections;
    }
    std::size_t waiting = clients_.size();  // have not asked yet
    epoll_event events[256];
    for (Nanoseconds now = started_; now < deadline || busy_ > 0; now = wire::now()) {
      if (now > last_answer) wire::fail("load: " + std::to_string(busy_) + " answers never ended");
      if (waiting > 0 && now < deadline) waiting = ask_those_whose_time_has_come(now);
      const int count = epoll_wait(poller_, events, 256, waiting > 0 ? 1 : 100);
      for (int index = 0; index < count; ++index) {
        Client& client = clients_[events[index].data.u32];
        receive(client);
        if (!client.busy && wire::now() < deadline) ask(client);
      }
    }
    finished_ = wire::now();
  }

  void print() {
    std::printf(
        "{\"requests\":%zu,\"tokens\":%ld,\"seconds\":%.6f,\"gap_p99_ms\":%.4f,\"first_p50_ms\":%.4f,"
        "\"first_p99_ms\":%.4f,\"whole_p50_ms\":%.4f,\"whole_p99_ms\":%.4f}\n",
        whole_.size(), tokens_, static_cast<double>(finished_ - started_) / wire::kSecond, percentile_ms(gaps_, .99),
        percentile_ms(first_, .5), percentile_ms(first_, .99), percentile_ms(whole_, .5), percentile_ms(whole_, .99));
  }

 private:
  void connect_client(Client& client) {
    client.socket = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    const sockaddr_in address = wire::loopback(options_.port);
    if (connect(client.socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
      wire::fail("load: nobody answers on port " + std::to_string(options_.port));
    }
    wire::make_quick(client.socket);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = static_cast<std::uint32_t>(&client - clients_.data());
    if (epoll_ctl(poller_, EPOLL_CTL_ADD, client.socket, &event) < 0) wire::fail("load: epoll_ctl");
  }

  std::size_t ask_those_whose_time_has_come(Nanoseconds now) {
    std::size_t waiting = 0;
    for (Client& client : clients_) {
      if (client.asked != 0) continue;
      if (client.begins <= now) {
        ask(client);
      } else {
        ++waiting;
      }
    }
    return waiting;
  }

  void ask(Client& client) {
    client.in_body = client.saw_done = false;
    client.dechunker = {};
    client.tokens = 0;
    client.received.clear();
    client.body.clear();
    client.busy = true;
    ++busy_;
    client.asked = wire::now();
    // 2 kB always fit into the empty buffer of a socket whose last request was answered.
    if (write(client.socket, request_.data(), request_.size()) != static_cast<ssize_t>(request_.size())) {
      wire::fail("load: a request could not be sent");
    }
  }

  void receive(Client& client) {
    char bytes[65536];
    const ssize_t size = read(client.socket, bytes, sizeof bytes);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0)
      wire::fail("load: the connection closed " + std::string(client.busy ? "in an answer" : "between two"));
    if (!client.busy) wire::fail("load: bytes after the end: " + std::string(bytes, static_cast<std::size_t>(size)));
    client.received.append(bytes, static_cast<std::size_t>(size));
    if (!client.in_body && !read_head(client)) return;
    const bool ended = read_body(client);
    if (options_.streamed()) read_events(client);
    if (ended) finish(client);
  }

  bool read_head(Client& client) {
    const auto head = wire::parse_head(client.received);
    if (!head) return false;
    if (head->first_line.substr(0, 12) != "HTTP/1.1 200") wire::fail("load: refused: " + client.received);
    client.head = *head;
    client.received.erase(0, head->size);
    return client.in_body = true;
  }

  bool read_body(Client& client) {
    if (client.head.chunked) return client.dechunker.feed(client.received, client.body);
    client.body += client.received;
    client.received.clear();
    return client.body.size() >= client.head.content_length;
  }

  void read_events(Client& client) {
    const std::string_view ending = options_.dialect.event_end;
    std::size_t at = 0;
    for (std::size_t end; (end = client.body.find(ending, at)) != std::string::npos; at = end + ending.size()) {
      const std::string_view event = std::string_view(client.body).substr(at, end - at);
      if (event.find("\" oat\"") != std::string_view::npos && event.find("output_text.done") == event.npos) {
        const Nanoseconds now = wire::now();
        const bool begins = client.tokens++ == 0;
        (begins ? first_ : gaps_).push_back(now - (begins ? client.asked : client.last_token));
        client.last_token = now;
      } else if (event.find(options_.dialect.last_event) != std::string_view::npos) {
        client.saw_done = true;
      } else if (event.find("\"error\":{") != std::string_view::npos) {
        wire::fail("load: an error in a stream: " + std::string(event));
      }
    }
    client.body.erase(0, at);
  }

  void finish(Client& client) {
    if (options_.streamed() && (!client.saw_done || client.tokens != options_.tokens || !client.body.empty())) {
      wire::fail("load: a stream ended with " + std::to_string(client.tokens) + " of " +
                 std::to_string(options_.tokens) + " tokens, the last event " + (client.saw_done ? "seen" : "missing") +
                 ", left over: " + client.body);
    }
    if (!options_.streamed() &&
        (client.body.find(options_.dialect.count) == std::string::npos || client.body.back() != '}')) {
      wire::fail("load: not a whole answer: " + client.body);
    }
    whole_.push_back(wire::now() - client.asked);
    tokens_ += client.tokens;
    client.busy = false;
    --busy_;
  }

  Options options_;
  std::string request_;
  int poller_;
  std::vector<Client> clients_;
  std::size_t busy_ = 0;
  long tokens_ = 0;
  Nanoseconds started_ = 0;
  Nanoseconds finished_ = 0;
  std::vector<Nanoseconds> first_;  // request to first token
  std::vector<Nanoseconds> gaps_;   // a token to the next
  std::vector<Nanoseconds> whole_;  // request to last byte
};

}  // namespace

int main(int count, char** arguments) {
  // Sharing its core with the mock engine, it would otherwise interrupt it at every token: a batch process does not.
  // Measured: saturated streams 1.4 times as fast, the rest unchanged.
  const sched_param no_priority{};
  sched_setscheduler(0, SCHED_BATCH, &no_priority);
  Load load(parse(count, arguments));
  load.run();
  load.print();
  return 0;
}
