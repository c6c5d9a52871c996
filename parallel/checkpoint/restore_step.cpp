#include "parallel/checkpoint/restore_step.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

#include "core/base/error.h"
#include "core/base/log.h"
#include "parallel/checkpoint/agreement.h"
#include "parallel/checkpoint/compatibility.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/tensor_reader.h"

namespace trireme::checkpoint {
namespace {

constexpr const char* kSound = "sound";

/// Throws where the step does not fit; returns what is damaged, or kSound.
std::string attempt(Communicator& world, const std::string& step_directory, const TrainingState& expected,
                    bool allow_data_change, const std::vector<HeldTensor>& targets, TrainingState& state) {
  Manifest manifest;
  try {
    manifest = load_manifest(step_directory);
  } catch (const NewerFormatError&) {
    throw;
  } catch (const CheckpointError& error) {
    return error.what();
  }
  const Differences differences = compare_states(manifest.state, expected, allow_data_change);
  refuse(step_directory, differences.fatal);
  refuse(step_directory, compare_tensors(manifest, targets, false));
  if (world.rank() == 0)
    for (const std::string& line : differences.told)
      log::warning("restoring '{}' with a difference: {}", step_directory, line);
  state = manifest.state;
  try {
    read_tensors(step_directory, manifest, targets);
  } catch (const CheckpointError& error) {
    return error.what();
  } catch (const IoError& error) {
    return error.what();
  }
  return kSound;
}

}  // namespace

RestoreResult restore_step(Communicator& world, const std::string& step_directory,
                           const TrainingState& expected, bool allow_data_change,
                           const std::vector<HeldTensor>& targets) {
  RestoreResult result;
  const std::vector<std::string> answers = agree(world, [&] {
    return attempt(world, step_directory, expected, allow_data_change, targets, result.state);
  });
  std::map<std::string, std::vector<size_t>> damages;  // the same file is read by many ranks
  for (size_t rank = 0; rank < answers.size(); ++rank)
    if (answers[rank] != kSound) damages[answers[rank]].push_back(rank);
  for (const auto& [damage, ranks] : damages)
    result.damage += fmt::format("{}{} (found by ranks {})", result.damage.empty() ? "" : "; ", damage,
                                 fmt::join(ranks, ", "));
  return result;
}

}  // namespace trireme::checkpoint
