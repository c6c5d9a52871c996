#include "parallel/checkpoint/fault.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

#include "core/base/error.h"

namespace trireme::checkpoint {
namespace {

/// The seconds of "delay=0.5"; below zero: it is no such action.
double delay_of(std::string_view action) {
  constexpr std::string_view kDelay = "delay=";
  if (!action.starts_with(kDelay)) return -1;
  double seconds = -1;
  const char* end = action.data() + action.size();
  const auto [stopped, error] = std::from_chars(action.data() + kDelay.size(), end, seconds);
  return error == std::errc() && stopped == end ? seconds : -1;
}

}  // namespace

void fault_point(std::string_view phase, int rank) {
  const char* wanted = std::getenv("TRIREME_FAULT");
  if (wanted == nullptr) return;
  const std::string_view text(wanted);
  const std::string here = fmt::format("{}:{}:", phase, rank);
  if (!text.starts_with(here)) return;
  const std::string_view action = text.substr(here.size());
  if (action == "kill") std::raise(SIGKILL);
  if (action == "error")
    throw IoError(fmt::format("fault asked for by TRIREME_FAULT={}: Input/output error (errno 5)", text));
  const double seconds = delay_of(action);
  if (seconds < 0)
    throw ConfigError(
        fmt::format("TRIREME_FAULT={}: the action is 'kill', 'error' or 'delay=SECONDS'", text));
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

}  // namespace trireme::checkpoint
