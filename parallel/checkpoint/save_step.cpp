#include "parallel/checkpoint/save_step.h"

#include <fmt/format.h>

#include <map>
#include <memory>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/io/directory.h"
#include "core/io/file.h"
#include "parallel/checkpoint/agreement.h"
#include "parallel/checkpoint/assemble_manifest.h"
#include "parallel/checkpoint/fault.h"
#include "parallel/checkpoint/index_file.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/retention.h"
#include "parallel/checkpoint/shard_writer.h"
#include "parallel/checkpoint/step_directory.h"

namespace trireme::checkpoint {
namespace {

std::string temporary_path(const SaveTarget& target, const TrainingState& state) {
  return fmt::format("{}/.tmp-{}-{}", target.directory, step_directory_name(state.step), state.run_id);
}

std::unique_ptr<io::TemporaryDirectory> open_step(const SaveTarget& target, const TrainingState& state,
                                                  const SavePlan& plan) {
  int64_t needed = plan.num_bytes;
  for (const auto& planned : plan.ranks) needed += metadata_allowance(planned.size());
  const int64_t free = io::free_bytes(target.directory);
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  if (free < needed)
    throw IoError(
        fmt::format("a checkpoint takes {:.3f} GiB and '{}' has {:.3f} GiB free; make room, or lower "
                    "checkpoint.keep_last",
                    static_cast<double>(needed) / kGiB, target.directory, static_cast<double>(free) / kGiB));
  return std::make_unique<io::TemporaryDirectory>(temporary_path(target, state));
}

void commit(io::TemporaryDirectory& temporary, const SaveTarget& target, Manifest manifest) {
  const TrainingState& state = manifest.state;
  manifest.files[kIndexName] = write_index(temporary.path(), manifest);
  fault_point("index", 0);
  io::write_new_file(temporary.path() + "/" + kManifestName, to_json(manifest));
  fault_point("manifest", 0);
  set_aside_later_steps(target.directory, target.history_step, state.run_id);
  temporary.commit(target.directory + "/" + step_directory_name(state.step));
  fault_point("rename", 0);
}

}  // namespace

void save_step(Communicator& world, const SaveTarget& target, const TrainingState& state,
               const std::vector<HeldTensor>& held, const SavePlan& plan) {
  const int rank = world.rank();
  std::unique_ptr<io::TemporaryDirectory> temporary;  // of rank 0; removes itself unless committed
  agree(world, [&] {
    if (rank == 0) temporary = open_step(target, state, plan);
    fault_point("prepared", rank);
    return std::string();
  });
  const std::vector<std::string> written = agree(world, [&] {
    const ShardReport report = write_shard(temporary_path(target, state), rank, world.size(), held,
                                           plan.ranks[static_cast<size_t>(rank)]);
    fault_point("before_agreement", rank);
    return to_json(report);
  });
  agree(world, [&] {
    if (rank != 0) return std::string();
    std::vector<ShardReport> reports;
    for (const std::string& text : written) reports.push_back(parse_shard_report(text));
    commit(*temporary, target, assemble_manifest(state, plan, reports));
    return std::string();
  });
  if (rank != 0) return;
  try {
    replace_file(target.directory + "/latest", step_directory_name(state.step) + "\n");
    fault_point("latest", rank);
  } catch (const Error& error) {
    log::warning("the hint 'latest' could not be written: {}", error.what());
  }
}

}  // namespace trireme::checkpoint
