#include "parallel/checkpoint/agreement.h"

#include <fmt/format.h>

#include <charconv>

#include "core/base/error.h"
#include "core/base/host.h"

namespace trireme::checkpoint {
namespace {

/// <exit code> <bytes of the message> <message><payload>
std::string pack(const Outcome& outcome) {
  return fmt::format("{} {} {}{}", outcome.exit_code, outcome.message.size(), outcome.message,
                     outcome.payload);
}

Outcome unpack(const std::string& packed) {
  Outcome outcome;
  size_t length = 0;
  const char* end = packed.data() + packed.size();
  const char* after_code = std::from_chars(packed.data(), end, outcome.exit_code).ptr;
  const char* after_length = std::from_chars(after_code + 1, end, length).ptr;
  outcome.message.assign(after_length + 1, length);
  outcome.payload.assign(after_length + 1 + length, end);
  return outcome;
}

}  // namespace

std::vector<Outcome> gather_outcomes(Communicator& world, const std::function<std::string()>& work) {
  Outcome mine;
  const auto fail = [&](ExitCode exit_code, const char* message) {
    mine.exit_code = static_cast<int>(exit_code);
    mine.message = fmt::format("rank {} on {}: {}", world.rank(), host_name(), message);
  };
  try {
    mine.payload = work();
  } catch (const Error& error) {
    fail(error.exit_code(), error.what());
  } catch (const std::exception& error) {
    fail(ExitCode::kInternal, error.what());
  }
  std::vector<Outcome> outcomes;
  for (const std::string& packed : world.gather_bytes(pack(mine))) outcomes.push_back(unpack(packed));
  return outcomes;
}

std::vector<std::string> agree(Communicator& world, const std::function<std::string()>& work) {
  std::vector<std::string> payloads;
  std::string messages;
  int exit_code = 0;
  for (Outcome& outcome : gather_outcomes(world, work)) {
    if (outcome.exit_code != 0) {
      if (exit_code == 0) exit_code = outcome.exit_code;
      messages += (messages.empty() ? "" : "; ") + outcome.message;
    }
    payloads.push_back(std::move(outcome.payload));
  }
  if (exit_code != 0) throw CheckpointError(messages, static_cast<ExitCode>(exit_code));
  return payloads;
}

}  // namespace trireme::checkpoint
