#include "parallel/checkpoint/restore_step.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "core/base/error.h"
#include "core/base/log.h"
#include "parallel/checkpoint/agreement.h"
#include "parallel/checkpoint/compatibility.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/shared_reading.h"
#include "parallel/checkpoint/tensor_reader.h"

namespace trireme::checkpoint {
namespace {

constexpr const char* kSound = "sound";

/// What `work` says of damage, or kSound. What does not fit is thrown.
template <class Work>
std::string damage_of(const Work& work) {
  try {
    work();
  } catch (const NewerFormatError&) {
    throw;
  } catch (const CheckpointError& error) {
    return error.what();
  } catch (const IoError& error) {
    return error.what();
  }
  return kSound;
}

/// Every damage once: the same file is read by many ranks.
std::string join_damages(const std::vector<std::string>& answers) {
  std::map<std::string, std::vector<size_t>> damages;
  for (size_t rank = 0; rank < answers.size(); ++rank)
    if (answers[rank] != kSound) damages[answers[rank]].push_back(rank);
  std::string text;
  for (const auto& [damage, ranks] : damages)
    text += fmt::format("{}{} (found by ranks {})", text.empty() ? "" : "; ", damage, fmt::join(ranks, ", "));
  return text;
}

/// The same on every rank, so that one speaks for all.
void refuse_misfit(const std::string& step_directory, const Manifest& manifest, const TrainingState& expected,
                   bool allow_data_change, const std::vector<LogicalTensor>& tensors) {
  const auto is_optimizer_state = [](const auto& tensor) { return tensor.role.starts_with("optimizer/"); };
  if (std::any_of(tensors.begin(), tensors.end(), is_optimizer_state) &&
      std::none_of(manifest.tensors.begin(), manifest.tensors.end(), is_optimizer_state))
    throw CheckpointError(fmt::format(
        "'{}' holds weights alone, no optimizer state: a run goes on from its own checkpoints, and "
        "begins from these weights with training.initialize_from",
        step_directory));
  const Differences differences = compare_states(manifest.state, expected, allow_data_change);
  refuse(step_directory, differences.fatal);
  refuse(step_directory, compare_tensors(manifest, tensors));
  for (const std::string& line : differences.told)
    log::warning("restoring '{}' with a difference: {}", step_directory, line);
}

}  // namespace

RestoreResult restore_step(Communicator& world, const std::string& step_directory,
                           const TrainingState& expected, const CheckpointConfig& config,
                           const SavePlan& plan, const std::vector<HeldTensor>& targets) {
  Manifest manifest;
  RestoreResult result;
  result.damage = join_damages(
      agree(world, [&] { return damage_of([&] { manifest = load_manifest(step_directory); }); }));
  if (!result.damage.empty()) return result;
  agree(world, [&] {
    if (world.rank() == 0)
      refuse_misfit(step_directory, manifest, expected, config.allow_data_change, plan.tensors);
    return std::string();
  });
  result.damage = join_damages(agree(world, [&] {
    return damage_of([&] {
      result.num_bytes_read = read_tensors(
          step_directory, manifest, parts_to_read(plan, world.rank(), targets), config.restore_buffer_bytes);
    });
  }));
  if (result.damage.empty()) share_parts(world, plan, targets, config.restore_buffer_bytes);
  result.state = std::move(manifest.state);
  return result;
}

}  // namespace trireme::checkpoint
