// `trireme evaluate RUN`
#include <fmt/format.h>
#include <omp.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/data/labels_file.h"
#include "core/data/sample_source.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/trained_model.h"
#include "launcher/commands/world.h"
#include "launcher/train/class_counts.h"
#include "launcher/train/evaluation.h"
#include "launcher/train/instruction_set.h"
#include "launcher/train/rank_placement.h"
#include "parallel/checkpoint/checkpoint_store.h"
#include "parallel/checkpoint/inspection.h"
#include "parallel/mesh/mesh.h"

namespace trireme {
namespace {

struct EvaluateOptions {
  std::string run;
  std::vector<std::string> overrides;
  std::string checkpoint;
  bool ema = false;
};

nlohmann::ordered_json json_of(const ClassScore& score) {
  return {{"precision", score.precision}, {"recall", score.recall}, {"f1", score.f1}};
}

/// Names of a data set's classes; where there is none, numbers.
std::vector<std::string> class_names(const RunConfig& config) {
  if (config.data.source == DataSource::kIndexed)
    return read_labels(labels_path(config.data.data_path.front())).classes;
  std::vector<std::string> names;
  for (int64_t i = 0; i < config.model.num_classes; ++i) names.push_back(std::to_string(i));
  return names;
}

void add_scores(nlohmann::ordered_json& json, const ConfusionMatrix& confusion, const RunConfig& config) {
  const ClassificationScores scores = score(confusion);
  json["macro"] = json_of(scores.macro);
  json["micro"] = json_of(scores.micro);
  const std::vector<std::string> names = class_names(config);
  for (size_t i = 0; i < scores.classes.size(); ++i) {
    nlohmann::ordered_json one = {{"name", i < names.size() ? names[i] : std::to_string(i)}};
    one.update(json_of(scores.classes[i]));
    json["classes"].push_back(std::move(one));
  }
}

std::string answer(const std::string& step, const RunConfig& config, const EvaluationResult& result,
                   const std::optional<ConfusionMatrix>& confusion, double seconds) {
  nlohmann::ordered_json json = {
      {"checkpoint", step}, {"step", read_training_state(step).step}, {"validation_loss", result.loss}};
  const auto add = [&](const char* key, const std::optional<double>& value) {
    if (value) json[key] = *value;
  };
  add("perplexity", perplexity_of(result));
  add("token_accuracy", accuracy_of(result.losses[LossTerm::kTokens]));
  add("sample_accuracy", accuracy_of(result.losses[LossTerm::kSamples]));
  if (confusion) add_scores(json, *confusion, config);
  json["tokens"] = result.tokens();
  json["seconds"] = seconds;
  return json.dump();
}

ExitCode evaluate_run(const EvaluateOptions& options, Communicator& world) {
  const RunPlan plan = plan_run(load_run(options.run, options.overrides), world.size());
  const RunConfig& config = plan.config;
  const std::string step =
      find_step(options.checkpoint.empty() ? config.training.output_dir : options.checkpoint);
  const std::unique_ptr<SampleSource> source =
      make_validation_source(config.data, plan.needs, static_cast<uint64_t>(config.training.seed));
  if (!source || source->num_samples() == 0)
    throw DataError("there is no validation data: set data.validation_fraction or data.valid_data_path");

  agree_on_instruction_set(world);
  const RankPlacement placement = place_ranks(world);
  Mesh mesh(world, ParallelConfig{});  // every rank has the whole model and a part of the windows
  Context context;
  context.num_threads =
      config.training.num_threads > 0 ? static_cast<int>(config.training.num_threads) : placement.threads;
  omp_set_num_threads(context.num_threads);
  TrainedModel trained(context, config, step, options.ema ? Weights::kAverages : Weights::kTrained);
  PipelineEngine engine(context, mesh, *trained.model,
                        plan_stages(*trained.model, ParallelConfig{}, config.data.seq_length),
                        make_schedule(PipelineSchedule::k1f1b, 1, 1, 1), config.precision.compute());

  const auto start = std::chrono::steady_clock::now();
  const TrainingConfig& training = config.training;
  const EvaluationResult result =
      evaluate(context, engine, mesh, *source, training.micro_batch_size, training.eval_iters);
  std::optional<ConfusionMatrix> confusion;
  if (config.model.num_classes > 0)
    confusion = count_classes(context, *trained.model, mesh, *source, training.micro_batch_size,
                              training.eval_iters, config.model.num_classes);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (world.rank() == 0) fmt::print("{}\n", answer(step, config, result, confusion, seconds));
  return ExitCode::kOk;
}

}  // namespace

void add_evaluate(CLI::App& app, CommandAction& action) {
  CLI::App& command = *app.add_subcommand("evaluate", "Validation loss of a checkpoint, as JSON");
  command.footer(
      "Every validation window once (training.eval_iters limits that), alone or under mpirun. Of a "
      "classifier\n"
      "also precision, recall and F1: of each class, macro and micro.\n\n"
      "  trireme evaluate runs/shakespeare-char\n"
      "  trireme evaluate run.yaml --checkpoint runs/run/checkpoints/step-00001000");
  const auto options = std::make_shared<EvaluateOptions>();
  command.add_option("RUN", options->run, "Run file, or the output folder of a run")
      ->required()
      ->type_name("FILE|FOLDER");
  command.add_option("--checkpoint", options->checkpoint, "Step folder, or a folder of steps: the newest")
      ->type_name("PATH");
  command.add_flag("--ema", options->ema, kEmaHelp);
  command.add_option("--set", options->overrides, "Replace a value of the run file")
      ->type_name("KEY=VALUE")
      ->take_all()
      ->allow_extra_args(false);
  command.callback([&action, options] {
    action = [options] {
      return run_in_world([&](Communicator& world) { return evaluate_run(*options, world); });
    };
  });
}

}  // namespace trireme
