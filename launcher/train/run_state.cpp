#include "launcher/train/run_state.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <ctime>
#include <nlohmann/json.hpp>
#include <random>

#include "launcher/config/print.h"
#include "parallel/mesh/mesh.h"

namespace trireme {
namespace {

std::string new_run_id() {
  std::random_device random;  // two runs of one second must differ
  return fmt::format("{:%Y%m%dT%H%M%S}-{}-{:08x}", fmt::gmtime(std::time(nullptr)), getpid(), random());
}

/// The layout, for people: any other may restore.
nlohmann::json mesh_of(const ParallelConfig& parallel, int num_ranks) {
  nlohmann::json mesh;
  const MeshShape shape = MeshShape::make(parallel, num_ranks);
  for (int axis = 0; axis < kNumAxes; ++axis)
    mesh[name_of(static_cast<Axis>(axis))] = shape.size(static_cast<Axis>(axis));
  mesh["rank_order"] = parallel.rank_order;
  mesh["virtual_pipeline"] = parallel.virtual_pipeline_model_parallel_size;
  mesh["sequence_parallel"] = parallel.sequence_parallel;
  mesh["zero_stage"] = parallel.zero_stage;
  return mesh;
}

}  // namespace

TrainingState initial_state(const RunPlan& plan, const SampleSource& training_source, Communicator& world) {
  const nlohmann::json config = nlohmann::json::parse(to_canonical_json(plan.config));
  TrainingState state;
  state.run_id = world.gather_bytes(new_run_id()).front();
  state.precision = config["precision"]["dtype"];
  state.config_json = config.dump();
  state.architecture_json = config["model"].dump();
  state.tokenizer_hash = plan.tokenizer_hash;
  state.dataset_json =
      nlohmann::json{{"fingerprint", training_source.fingerprint()}, {"seed", plan.config.training.seed}}
          .dump();
  state.optimizer_json = config["optimizer"].dump();
  state.mesh_json = mesh_of(plan.config.parallel, world.size()).dump();
  return state;
}

}  // namespace trireme
