#include "fscached/tests/fake_origin.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace fscached {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

FakeRequest parse(const std::string& head) {
  FakeRequest request;
  request.raw = head;
  size_t line_end = head.find("\r\n");
  std::string line = head.substr(0, line_end);
  size_t first = line.find(' '), second = line.rfind(' ');
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, second - first - 1);
  for (size_t at = line_end + 2; (line_end = head.find("\r\n", at)) != at; at = line_end + 2) {
    size_t colon = head.find(':', at);
    request.headers[lower(head.substr(at, colon - at))] = head.substr(colon + 2, line_end - colon - 2);
  }
  return request;
}

bool send_all(int fd, const std::string& bytes) {
  for (size_t at = 0; at < bytes.size();) {
    ssize_t sent = send(fd, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    at += static_cast<size_t>(sent);
  }
  return true;
}

// Whether `fd` became readable before the end of the test.
bool wait_readable(int fd, int stop) {
  pollfd polls[2] = {{fd, POLLIN, 0}, {stop, POLLIN, 0}};
  while (poll(polls, 2, -1) < 0) {
  }
  return polls[1].revents == 0;
}

}  // namespace

std::optional<std::pair<uint64_t, uint64_t>> FakeRequest::range() const {
  unsigned long long first = 0, last = 0;
  if (std::sscanf(header("range").c_str(), "bytes=%llu-%llu", &first, &last) != 2) return std::nullopt;
  return std::pair<uint64_t, uint64_t>(first, last);
}

FakeOrigin::FakeOrigin(Script script, BodyShare share)
    : script_(std::move(script)), share_(std::move(share)) {
  listener_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(listen(listener_.get(), 64) == 0);
  REQUIRE(getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port_ = ntohs(address.sin_port);
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  stop_read_.reset(ends[0]);
  stop_write_.reset(ends[1]);
  threads_.emplace_back([this] { accept_loop(); });
}

FakeOrigin::~FakeOrigin() {
  stop_write_.reset();  // every poll() sees the hang-up
  threads_.front().join();
  threads_.pop_front();
  for (std::thread& thread : threads_) thread.join();
}

std::string FakeOrigin::url(const std::string& path) const {
  return "http://127.0.0.1:" + std::to_string(port_) + path;
}

std::vector<FakeRequest> FakeOrigin::requests() const {
  std::lock_guard lock(mutex_);
  return requests_;
}

void FakeOrigin::accept_loop() {
  while (wait_readable(listener_.get(), stop_read_.get())) {
    int fd = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    accepted_++;
    threads_.emplace_back([this, fd] {
      serve(fd);
      close(fd);
    });
  }
}

void FakeOrigin::serve(int fd) {
  std::string pending;
  while (wait_readable(fd, stop_read_.get())) {
    char bytes[4096];
    ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    if (got <= 0) return;
    pending.append(bytes, static_cast<size_t>(got));
    for (size_t end; (end = pending.find("\r\n\r\n")) != std::string::npos;) {
      FakeRequest request = parse(pending.substr(0, end + 4));
      pending.erase(0, end + 4);
      if (!take_body(fd, pending, request) || !answer(fd, std::move(request))) return;
    }
  }
}

bool FakeOrigin::take_body(int fd, std::string& pending, FakeRequest& request) {
  std::string length = request.header("content-length");
  size_t wanted = length.empty() ? 0 : std::stoul(length);
  if (share_) wanted = std::min(wanted, share_(request, wanted));
  std::vector<char> bytes(64 << 10);
  while (pending.size() < wanted) {
    if (!wait_readable(fd, stop_read_.get())) return false;
    ssize_t got = recv(fd, bytes.data(), bytes.size(), 0);
    if (got <= 0) return false;
    pending.append(bytes.data(), static_cast<size_t>(got));
  }
  request.body = pending.substr(0, wanted);
  pending.erase(0, wanted);
  return true;
}

bool FakeOrigin::answer(int fd, FakeRequest request) {
  {
    std::lock_guard lock(mutex_);
    request.number = requests_.size();
    requests_.push_back(request);
  }
  return send_reply(fd, script_(request));
}

// Whether the connection lives on.
bool FakeOrigin::send_reply(int fd, const FakeReply& reply) {
  bool sent = send_all(fd, reply.bytes);
  switch (reply.end) {
    case FakeReply::End::keep: return sent;
    case FakeReply::End::close: return false;
    case FakeReply::End::reset: {
      // Let the client take what was sent first: a reset throws away what it has not read.
      if (!reply.bytes.empty()) usleep(50'000);
      linger now = {1, 0};
      setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
      return false;
    }
    case FakeReply::End::stall: wait_for_end(fd, false); return false;
    case FakeReply::End::trickle: wait_for_end(fd, true); return false;
  }
  return false;
}

// Until the client hangs up or the test ends.
void FakeOrigin::wait_for_end(int fd, bool trickle) {
  pollfd polls[2] = {{fd, POLLIN, 0}, {stop_read_.get(), POLLIN, 0}};
  while (poll(polls, 2, trickle ? 300 : -1) == 0) {
    if (!send_all(fd, "x")) return;
  }
}

std::string http_reply(int status, const std::string& headers, const std::string& body) {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

FakeReply honest_reply(const FakeRequest& request, const std::string& content) {
  std::string size = std::to_string(content.size());
  auto range = request.range();
  if (!range) return {http_reply(200, "", content)};
  auto [first, last] = *range;
  if (first >= content.size()) return {http_reply(416, "Content-Range: bytes */" + size + "\r\n", "")};
  last = std::min<uint64_t>(last, content.size() - 1);
  std::string header =
      "Content-Range: bytes " + std::to_string(first) + "-" + std::to_string(last) + "/" + size + "\r\n";
  return {http_reply(206, header, content.substr(first, last - first + 1))};
}

}  // namespace fscached
