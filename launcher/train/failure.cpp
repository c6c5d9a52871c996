#include "launcher/train/failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <new>
#include <optional>

#include "core/base/error.h"
#include "core/base/host.h"

namespace trireme {
namespace {

/// How long a failed rank waits for the others to fail as well.
constexpr std::chrono::seconds kMeeting{3};

struct Failure {
  ExitCode code;
  std::string message;
};

std::optional<Failure> attempt(const std::function<ExitCode()>& body, ExitCode& code) {
  try {
    code = body();
    return std::nullopt;
  } catch (const Error& error) {
    return Failure{error.exit_code(), error.what()};
  } catch (const std::bad_alloc&) {
    return Failure{ExitCode::kDevice,
                   "out of memory; take a smaller micro_batch_size, or recompute_granularity: full"};
  } catch (const std::exception& error) {
    return Failure{ExitCode::kInternal, fmt::format("internal error: {}; please report it", error.what())};
  }
}

/// The messages of all ranks, or nothing when some rank did not fail.
std::optional<std::vector<std::string>> meet(Communicator& failures, const std::string& message) {
  try {
    failures.set_deadline(kMeeting);
    return failures.gather_bytes(message);
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

int launched_rank() {
  for (const char* variable : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"})
    if (const char* text = std::getenv(variable)) return std::atoi(text);
  return 0;
}

void print_error(const std::string& message) {
  const std::string line = "trireme: error: " + message + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
}

ExitCode run_on_every_rank(Communicator& world, const std::function<ExitCode()>& body) {
  // A group of its own, so that a meeting never crosses a collective of the run.
  const std::unique_ptr<Communicator> failures =
      world.size() > 1 ? world.split(0, world.rank(), "failures") : nullptr;
  ExitCode code = ExitCode::kOk;
  const std::optional<Failure> failure = attempt(body, code);
  if (!failure) return code;
  if (!failures) {
    print_error(failure->message);
    return failure->code;
  }
  const std::string own = fmt::format("rank {} on host {}: {}", world.rank(), host_name(), failure->message);
  const auto messages = meet(*failures, failure->message);
  if (!messages) {
    print_error(own);
    world.abort(own, static_cast<int>(failure->code));
    return failure->code;
  }
  const bool equal = std::all_of(messages->begin(), messages->end(),
                                 [&](const std::string& one) { return one == messages->front(); });
  if (!equal)
    print_error(own);
  else if (world.rank() == 0)
    print_error(failure->message);
  return failure->code;
}

}  // namespace trireme
