#include "launcher/config/plan.h"

#include <filesystem>
#include <memory>
#include <optional>

#include "core/data/sample_source.h"
#include "core/models/registry.h"
#include "launcher/config/idle_keys.h"
#include "launcher/config/problems.h"
#include "launcher/config/rank_options.h"
#include "launcher/config/run_tokenizers.h"
#include "parallel/checkpoint/checkpoint_store.h"
#include "parallel/mesh/mesh.h"
#include "parallel/step/layout.h"
#include "parallel/step/micro_batches.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

/// Ranks on the data axis; 1 when the layout is refused.
int64_t data_ranks_of(const ParallelConfig& parallel, int64_t num_ranks, ConfigProblems& problems) {
  try {
    return MeshShape::make(parallel, static_cast<int>(num_ranks)).size(Axis::kData);
  } catch (const ConfigError& error) {
    problems.add(error);
    return 1;
  }
}

BatchPlan plan_batch(RunConfig& config, int64_t num_ranks, ConfigProblems& problems) {
  TrainingConfig& training = config.training;
  BatchPlan batch;
  batch.num_ranks = num_ranks;
  batch.data_ranks = data_ranks_of(config.parallel, num_ranks, problems);
  batch.micro_batch_size = training.micro_batch_size;
  if (training.global_batch_size == 0) training.global_batch_size = batch.micro_batch_size * batch.data_ranks;
  batch.global_batch_size = training.global_batch_size;
  if (family_named(config.model.family).needs(config.model).objective == Objective::kCausal)
    batch.tokens_per_step = batch.global_batch_size * config.data.seq_length;
  const StepSamples samples{batch.global_batch_size, batch.micro_batch_size,
                            static_cast<int>(batch.data_ranks)};
  try {
    batch.micro_batches = samples.num_micro_batches();
  } catch (const ConfigError& error) {
    problems.add(error);
  }
  return batch;
}

void check_schedule(const RunConfig& config, ConfigProblems& problems) {
  const OptimizerConfig& optimizer = config.optimizer;
  if (optimizer.min_lr > optimizer.lr)
    problems.add("optimizer.min_lr: given {}, expected at most optimizer.lr {}", optimizer.min_lr,
                 optimizer.lr);
  const int64_t decay = optimizer.lr_decay_iters > 0 ? optimizer.lr_decay_iters : config.training.train_iters;
  if (optimizer.lr_decay_style == LrDecayStyle::kWsd) {
    if (optimizer.lr_wsd_decay_iters < 1 || optimizer.lr_wsd_decay_iters > decay)
      problems.add(
          "optimizer.lr_wsd_decay_iters: given {}, expected 1 to {} (the steps of the schedule) with "
          "lr_decay_style WSD",
          optimizer.lr_wsd_decay_iters, decay);
  }
  const bool noam = optimizer.lr_decay_style == LrDecayStyle::kNoam;
  if ((noam || optimizer.lr_decay_style == LrDecayStyle::kInverseSquareRoot) && optimizer.lr_warmup_iters < 1)
    problems.add("optimizer.lr_warmup_iters: given 0, expected at least 1 with lr_decay_style {}",
                 noam ? "noam" : "inverse-square-root");
}

void check_precision(const PrecisionConfig& precision, ConfigProblems& problems) {
  if (precision.dtype == Precision::kFp16 && precision.initial_loss_scale < precision.min_loss_scale)
    problems.add("precision.initial_loss_scale: given {}, expected at least precision.min_loss_scale {}",
                 precision.initial_loss_scale, precision.min_loss_scale);
}

void check_recompute(const RunConfig& config, ConfigProblems& problems) {
  const int64_t num_layers = config.training.recompute_num_layers;
  if (config.training.recompute_granularity != RecomputeGranularity::kNone &&
      num_layers > config.model.num_layers_in_all())
    problems.add("training.recompute_num_layers: given {}, expected at most the model's {} layers",
                 num_layers, config.model.num_layers_in_all());
}

void check_data(const DataConfig& data, ConfigProblems& problems) {
  const bool indexed = data.source == DataSource::kIndexed;
  if (indexed && data.data_path.empty())
    problems.add(
        "data.data_path: given nothing, expected the prefix of a data set (make one with `trireme prepare`), "
        "or "
        "data.source: synthetic");
  if (!indexed && !(data.data_path.empty() && data.valid_data_path.empty()))
    problems.add("data.data_path: given files, expected none with data.source: synthetic");
  if (!data.data_weights.empty() && data.data_weights.size() != data.data_path.size())
    problems.add(
        "data.data_weights: given {} weights, expected one for each of the {} entries of data.data_path",
        data.data_weights.size(), data.data_path.size());
}

void check_resume(const TrainingConfig& training, ConfigProblems& problems) {
  const std::string& resume = training.resume;
  if (resume == "auto" || resume == "never") return;
  if (!fs::is_directory(resume)) {
    problems.add("training.resume: given {}, expected auto, never or the path of a checkpoint's step folder",
                 resume);
    return;
  }
  // The folder of a run, or its `checkpoints`: which step is meant, the person says.
  const std::string steps = fs::is_directory(resume + "/checkpoints") ? resume + "/checkpoints" : resume;
  if (const std::optional<std::string> newest = newest_checkpoint(steps))
    problems.add("training.resume: given {}, which is no step folder; the newest step in it is {}", resume,
                 *newest);
}

void check_initialize(const TrainingConfig& training, ConfigProblems& problems) {
  const std::string& from = training.initialize_from;
  if (from.empty()) return;
  if (training.resume != "auto" && training.resume != "never")
    problems.add("training.initialize_from: given {}, expected nothing with training.resume: {}", from,
                 training.resume);
  if (fs::exists(from + "/manifest.json")) return;
  const std::string steps = fs::is_directory(from + "/checkpoints") ? from + "/checkpoints" : from;
  if (!fs::is_directory(steps) || !newest_checkpoint(steps))
    problems.add(
        "training.initialize_from: given {}, expected a step folder, or the output folder of a run or an "
        "import "
        "with a checkpoint in it",
        from);
}

/// A vocabulary of its own for the source has the size of its tokenizer where nothing is said.
void take_source_vocabulary(ModelConfig& model, const RunTokenizers& tokenizers, ConfigProblems& problems) {
  if (!tokenizers.source) return;
  const int64_t size = tokenizers.source->vocab_size();
  if (model.source_vocab_size == 0) model.source_vocab_size = size;
  if (model.source_vocab_size < size)
    problems.add("model.source_vocab_size {} is smaller than the vocabulary of {}, {}",
                 model.source_vocab_size, tokenizers.source_path, size);
}

/// Sequence parallelism divides the rows of a micro-batch, so their number must be known before its length.
void check_padded_rows(const RunConfig& config, ConfigProblems& problems) {
  const int64_t ranks = config.parallel.tensor_model_parallel_size;
  const int64_t rows = config.training.micro_batch_size * config.data.pad_to_multiple;
  if (!config.parallel.sequence_parallel || config.data.pad_to_seq_length || rows % ranks == 0) return;
  problems.add(
      "parallel.sequence_parallel: micro_batch_size {} x data.pad_to_multiple {} = {} rows do not "
      "divide over {} tensor ranks; set data.pad_to_multiple: {}, or data.pad_to_seq_length",
      config.training.micro_batch_size, config.data.pad_to_multiple, rows, ranks, ranks);
}

/// Of a model that is resolved.
SampleNeeds plan_samples(const RunConfig& config, const RunTokenizers& tokenizers, ConfigProblems& problems) {
  SampleNeeds needs = family_named(config.model.family).needs(config.model);
  needs.global_batch_size = config.training.global_batch_size;
  needs.roles = token_roles(tokenizers, config.data, needs, problems);
  for (const std::string& error : sample_errors(config.data, needs)) problems.add("{}", error);
  const bool two_segments = needs.next_sentence || needs.objective == Objective::kClassification;
  if (two_segments && config.model.num_token_types == 1)
    problems.add("model.num_token_types: given 1, expected 0 or at least 2: a sample may have two segments");
  if (needs.objective != Objective::kCausal) check_padded_rows(config, problems);
  return needs;
}

}  // namespace

RunPlan plan_run(RunConfig config, int64_t num_ranks) {
  ConfigProblems problems;
  RunPlan plan;
  plan.batch = plan_batch(config, num_ranks, problems);
  check_schedule(config, problems);
  check_idle_keys(config, problems);
  if (config.optimizer.lr_decay_style == LrDecayStyle::kNoam && config.optimizer.noam_model_size == 0)
    config.optimizer.noam_model_size = config.model.hidden_size;
  check_precision(config.precision, problems);
  check_recompute(config, problems);
  check_data(config.data, problems);
  check_resume(config.training, problems);
  check_initialize(config.training, problems);

  try {
    const Objective objective = family_named(config.model.family).needs(config.model).objective;
    const RunTokenizers tokenizers = load_tokenizers(config.data, objective);
    plan.tokenizer_hash = tokenizers.content_hash();
    int64_t vocab_size = tokenizers.tokens ? tokenizers.tokens->vocab_size() : config.model.vocab_size;
    // Without data the missing vocabulary is no mistake of its own.
    if (config.data.source == DataSource::kIndexed && config.data.data_path.empty()) vocab_size = 1;
    take_source_vocabulary(config.model, tokenizers, problems);
    config.model.resolve(vocab_size, config.data.seq_length);
    plan.needs = plan_samples(config, tokenizers, problems);
    for (const std::string& error : layout_errors(rank_options(config), plan.batch.micro_batches))
      problems.add("{}", error);
  } catch (const ConfigError& error) {
    problems.add(error);
  }
  problems.throw_if_any();
  plan.config = std::move(config);
  return plan;
}

std::string describe(const BatchPlan& batch) {
  const auto counted = [](int64_t count, const char* what, const char* plural) {
    return fmt::format("{} {}", count, count == 1 ? what : plural);
  };
  const std::string tokens =
      batch.tokens_per_step > 0 ? fmt::format(" = {} tokens", batch.tokens_per_step) : "";
  return fmt::format("{} x {} x {} = {}{} a step", counted(batch.data_ranks, "rank", "ranks"),
                     counted(batch.micro_batches, "micro-batch", "micro-batches"),
                     counted(batch.micro_batch_size, "sample", "samples"),
                     counted(batch.global_batch_size, "sample", "samples"), tokens);
}

}  // namespace trireme
