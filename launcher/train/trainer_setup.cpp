// How a Trainer comes to be, in the order in which mistakes are cheapest to find.
#include <fmt/format.h>
#include <omp.h>

#include "core/base/file.h"
#include "core/io/directory.h"
#include "core/models/flops.h"
#include "core/models/registry.h"
#include "core/nn/plain_layer_builder.h"
#include "launcher/config/print.h"
#include "launcher/config/rank_options.h"
#include "launcher/train/console.h"
#include "launcher/train/evaluation.h"
#include "launcher/train/instruction_set.h"
#include "launcher/train/memory_estimate.h"
#include "launcher/train/peak.h"
#include "launcher/train/run_state.h"
#include "launcher/train/trainer.h"
#include "parallel/checkpoint/agreement.h"
#include "parallel/checkpoint/initial_weights.h"
#include "parallel/checkpoint/inspection.h"
#include "parallel/step/layout.h"

namespace trireme {
namespace {

std::string left_out_text(const SampleSource& source) {
  const int64_t number = source.num_left_out();
  return number == 0 ? "" : fmt::format(" ({} longer than data.seq_length left out)", number);
}

}  // namespace

Trainer::Trainer(RunConfig config, Communicator& world, std::function<bool()> stop_requested)
    : plan_(plan_run(std::move(config), world.size())),
      config_(plan_.config),
      world_(world),
      stop_requested_(std::move(stop_requested)),
      placement_(place_ranks(world)),
      instruction_set_(agree_on_instruction_set(world)) {
  prepare_context();
  open_data();
  build_model();
  restore();
  start_data();
  start_outputs();
  measure_peak();
}

Trainer::~Trainer() = default;

void Trainer::prepare_context() {
  const int64_t threads = config_.training.num_threads;
  context_.num_threads = threads > 0 ? static_cast<int>(threads) : placement_.threads;
  omp_set_num_threads(context_.num_threads);
}

void Trainer::open_data() {
  const uint64_t seed = static_cast<uint64_t>(config_.training.seed);
  training_source_ = make_training_source(config_.data, plan_.needs, seed);
  validation_source_ = make_validation_source(config_.data, plan_.needs, seed);
  if (config_.training.early_stopping_patience > 0 &&
      (!validation_source_ || validation_source_->num_samples() == 0))
    throw ConfigError(
        "training.early_stopping_patience: there is no validation data; set data.validation_fraction or "
        "data.valid_data_path");
}

void Trainer::build_model() {
  nn::PlainLayerBuilder builder;
  const std::unique_ptr<Model> whole = make_model(config_.model, builder);  // takes no memory
  memory_ = estimate_memory(config_, plan_.batch, whole->num_parameters());
  check_memory(memory_, placement_.ranks_on_host);
  rank_ = std::make_unique<TrainingRank>(context_, world_, rank_options(config_));
}

void Trainer::restore() {
  state_ = initial_state(plan_, *training_source_, world_);
  const TrainingState fresh = state_;
  checkpoints_ =
      std::make_unique<CheckpointStore>(config_.training.output_dir + "/checkpoints", world_,
                                        config_.checkpoint, fresh.run_id, rank_->model().parameters());
  checkpoints_->prepare(context_, rank_->store(), rank_->optimizer().state());
  const std::string& resume = config_.training.resume;
  std::optional<TrainingState> restored;
  if (resume == "auto")
    restored = checkpoints_->restore_newest(context_, fresh, rank_->store(), rank_->optimizer().state());
  else if (resume != "never")
    restored = checkpoints_->restore(context_, resume, fresh, rank_->store(), rank_->optimizer().state());
  if (restored) {
    state_.step = restored->step;
    state_.tokens = restored->tokens;
    state_.samples = restored->samples;
    state_.parent_run_id = restored->run_id;
    state_.schedule_json = restored->schedule_json;
    rank_->step().restore(LossScaler::from_json(config_.precision, restored->loss_scaler_json));
  } else if (!config_.training.initialize_from.empty()) {
    initialize(fresh);
  }
  early_stopping_ = std::make_unique<EarlyStopping>(config_.training, state_);
  early_stopping_->check(metrics_of({}));
}

void Trainer::initialize(const TrainingState& fresh) {
  InitialWeights weights;
  weights.only = config_.training.initialize_only;
  weights.buffer_bytes = config_.checkpoint.restore_buffer_bytes;
  // Rank 0 chooses the step, so that all ranks take the same.
  weights.step_directory =
      checkpoint::agree(world_, [&] {
        return world_.rank() == 0 ? find_step(config_.training.initialize_from) : std::string();
      }).front();
  state_.parent_run_id = initialize_weights(context_, world_, weights, fresh, rank_->store()).run_id;
  initialized_from_ = weights.step_directory;
}

void Trainer::start_data() {
  const auto next_samples = [samples = rank_->samples(), rank = rank_->mesh().data().rank(),
                             consumed = state_.samples,
                             index = int64_t{0}]() mutable -> std::optional<std::vector<int64_t>> {
    std::vector<int64_t> numbers = samples.micro_batch(consumed, rank, index);
    if (++index == samples.num_micro_batches()) {
      index = 0;
      consumed += samples.global_batch_size;
    }
    return numbers;
  };
  prefetcher_ = std::make_unique<Prefetcher>(*training_source_, context_.allocator, next_samples,
                                             config_.data.prefetch);
}

void Trainer::start_outputs() {
  if (world_.rank() != 0) return;
  io::make_directories(config_.training.output_dir);
  replace_file(config_.training.output_dir + "/config.yaml", to_yaml(config_));
  telemetry_ = std::make_unique<Telemetry>(config_, state_.step);
}

void Trainer::measure_peak() {
  Tensor peak = context_.zeros({1}, DType::kFloat64, MemoryCategory::kWorkspace);
  double& tflops = *peak.data<double>();
  tflops = counts_operations() ? config_.training.peak_tflops : 0;
  // fp64 goes through the reference kernels: there is no peak to speak of.
  if (counts_operations() && tflops == 0 && config_.precision.dtype != Precision::kFp64) {
    world_.barrier();  // ranks of a host share its power, as in a step
    tflops = measure_peak_tflops(context_, config_.precision.compute());
  }
  world_.all_reduce(peak, ReduceOp::kSum);
  total_peak_tflops_ = tflops;
  context_.allocator.release_cached();
  context_.allocator.reset_peak();
}

void Trainer::print_start() {
  say(fmt::format("ranks: {} on {} {}, {} {} each, {}", world_.size(), placement_.num_hosts,
                  placement_.num_hosts == 1 ? "host" : "hosts", context_.num_threads,
                  context_.num_threads == 1 ? "thread" : "threads", instruction_set_));
  const std::string size = count_text(static_cast<double>(rank_->model().num_parameters()));
  if (counts_operations()) {
    const FlopCount flops = flops_per_token(rank_->model(), config_.model, config_.data.seq_length);
    say(fmt::format("model: {} parameters, {:.1f} MFLOP a token (6 N + 12 L d T; causal {:.1f})", size,
                    flops.full * 1e-6, flops.causal * 1e-6));
  } else {
    say(fmt::format("model: {}, {} parameters", config_.model.family, size));
  }
  say(fmt::format(
      "memory of a rank, predicted: {} (weights {}, gradients {}, optimizer {}, activations about {}, copy "
      "for "
      "checkpoints {})",
      bytes_text(memory_.total()), bytes_text(memory_.weights), bytes_text(memory_.gradients),
      bytes_text(memory_.optimizer), bytes_text(memory_.activations), bytes_text(memory_.snapshot)));
  say("layout: " + describe_layout(rank_options(config_), world_.size()));
  say("batch: " + describe(plan_.batch));
  say(fmt::format("data: {} samples an epoch{}, {} of validation{}",
                  count_text(static_cast<double>(training_source_->num_samples())),
                  left_out_text(*training_source_),
                  validation_source_ ? validation_source_->num_samples() : 0,
                  validation_source_ ? left_out_text(*validation_source_) : ""));
  if (total_peak_tflops_ > 0)
    say(fmt::format("peak: {:.3f} TFLOP/s over all ranks ({}), the base of MFU", total_peak_tflops_,
                    config_.training.peak_tflops > 0 ? "stated" : "measured"));
  say(state_.step > 0 ? fmt::format("resumed from the checkpoint of step {}", state_.step)
                      : "starts at step 0" +
                            (initialized_from_.empty() ? "" : " with the weights of " + initialized_from_));
  say(fmt::format("output: {}", config_.training.output_dir));
}

}  // namespace trireme
