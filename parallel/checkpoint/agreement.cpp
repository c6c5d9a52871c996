#include "parallel/checkpoint/agreement.h"

#include <fmt/format.h>

#include <charconv>

#include "core/base/error.h"
#include "core/base/host.h"

namespace trireme::checkpoint {

std::string pack(const Outcome& outcome) {
  // <exit code> <bytes of the message> <message><payload>
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

Outcome attempt(int rank, const std::function<std::string()>& work) {
  Outcome outcome;
  const auto fail = [&](ExitCode exit_code, const char* message) {
    outcome.exit_code = static_cast<int>(exit_code);
    outcome.message = fmt::format("rank {} on {}: {}", rank, host_name(), message);
  };
  try {
    outcome.payload = work();
  } catch (const Error& error) {
    fail(error.exit_code(), error.what());
  } catch (const std::exception& error) {
    fail(ExitCode::kInternal, error.what());
  }
  return outcome;
}

Outcome failure_of(const std::vector<Outcome>& outcomes) {
  Outcome failure;
  for (const Outcome& outcome : outcomes) {
    if (outcome.exit_code == 0) continue;
    if (failure.exit_code == 0) failure.exit_code = outcome.exit_code;
    failure.message += (failure.message.empty() ? "" : "; ") + outcome.message;
  }
  return failure;
}

std::vector<std::string> agree(Communicator& world, const std::function<std::string()>& work) {
  std::vector<Outcome> outcomes;
  for (const std::string& packed : world.gather_bytes(pack(attempt(world.rank(), work))))
    outcomes.push_back(unpack(packed));
  const Outcome failure = failure_of(outcomes);
  if (failure.exit_code != 0)
    throw CheckpointError(failure.message, static_cast<ExitCode>(failure.exit_code));
  std::vector<std::string> payloads;
  for (Outcome& outcome : outcomes) payloads.push_back(std::move(outcome.payload));
  return payloads;
}

}  // namespace trireme::checkpoint
