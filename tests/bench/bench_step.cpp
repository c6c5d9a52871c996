// Trireme's side of the comparisons (compare.py, layouts.py): one training step on random tokens for every
// line `step` on a pipe. Takes the options of torch_peer.py, and a layout.

#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/data/sample_source.h"
#include "launcher/commands/world.h"
#include "parallel/step/training_rank.h"
#include "tests/bench/gemm_rate.h"

namespace trireme::bench {
namespace {

struct Options {
  int64_t layers = 0, width = 0, heads = 0, vocabulary = 0, batch = 0, length = 0, micro_batches = 1;
  int threads = 1;
  std::string dtype, pipes;
  ParallelConfig parallel;
};

Options parse(int argc, char** argv) {
  Options options;
  CLI::App app("One training step per line `step` on PIPES/in.RANK; answers on PIPES/out.RANK");
  app.add_option("--layers", options.layers)->required();
  app.add_option("--width", options.width)->required();
  app.add_option("--heads", options.heads)->required();
  app.add_option("--vocabulary", options.vocabulary)->required();
  app.add_option("--batch", options.batch)->required();
  app.add_option("--length", options.length)->required();
  app.add_option("--threads", options.threads)->required();
  app.add_option("--dtype", options.dtype)->required()->check(CLI::IsMember({"fp32", "bf16"}));
  app.add_option("--pipes", options.pipes)->required();
  app.add_option("--micro-batches", options.micro_batches, "of --batch samples, for every data rank");
  app.add_option("--tensor", options.parallel.tensor_model_parallel_size);
  app.add_flag("--sequence", options.parallel.sequence_parallel);
  app.add_option("--pipeline", options.parallel.pipeline_model_parallel_size);
  app.add_option("--schedule", options.parallel.pipeline_schedule)
      ->transform(CLI::CheckedTransformer(std::map<std::string, PipelineSchedule>(
          kPipelineScheduleNames.begin(), kPipelineScheduleNames.end())));
  app.add_option("--zero", options.parallel.zero_stage);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  return options;
}

ModelConfig model_config(const Options& options) {
  ModelConfig config;
  config.num_layers = options.layers;
  config.hidden_size = options.width;
  config.num_attention_heads = options.heads;
  config.vocab_size = options.vocabulary;
  config.resolve(options.vocabulary, options.length);
  return config;
}

/// What `trireme train` runs for one step: the model, its optimizer, and the ranks' reduction, on random
/// tokens.
class Trainer {
 public:
  Trainer(const Options& options, Communicator& world) : options_(options) {
    context_.num_threads = options.threads;
    rank_options_.model = model_config(options);
    rank_options_.precision.dtype = options.dtype == "bf16" ? Precision::kBf16 : Precision::kFp32;
    rank_options_.parallel = options.parallel;
    rank_options_.micro_batch_size = options.batch;
    rank_options_.global_batch_size = options.batch * options.micro_batches *
                                      MeshShape::make(options.parallel, world.size()).size(Axis::kData);
    rank_options_.seq_length = options.length;
    rank_options_.seed = rank_options_.step.seed = kSeed;
    measure_gemms();
    rank_.emplace(context_, world, rank_options_);
    DataConfig data;
    data.source = DataSource::kSynthetic;
    data.seq_length = options.length;
    source_ = make_training_source(data, SampleNeeds{.vocab_size = options.vocabulary}, kSeed);
  }

  struct Result {
    double seconds, loss;
  };
  /// The batches are made before the clock starts.
  Result step() {
    std::vector<Batch> batches;
    for (int64_t i = 0; i < options_.micro_batches; ++i)
      batches.push_back(source_->make_batch(
          context_.allocator, rank_->samples().micro_batch(num_steps_ * rank_options_.global_batch_size,
                                                           rank_->mesh().data().rank(), i)));
    ++num_steps_;
    auto next = batches.begin();
    const auto start = std::chrono::steady_clock::now();
    const StepResult result = rank_->step().run(
        num_steps_, [&] { return std::move(*next++); }, 3e-4, false);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    seconds_ += seconds;
    return {seconds, result.loss};
  }

  /// Called before and after the steps: the better one stands, for the neighbours on the host come and go.
  void measure_gemms() {
    const double rate = measure_gemm_rate(context_, rank_options_.model, options_.batch * options_.length,
                                          rank_options_.precision.compute());
    gemm_rate_ = std::max(gemm_rate_, rate);
  }
  double gemm_rate() const { return gemm_rate_; }

  /// Where a step's time goes from here on.
  void start_breakdown() {
    context_.trace.clear();
    before_ = rank_->mesh().counters();
    seconds_ = 0;
    first_step_ = num_steps_;
  }
  /// Seconds a step: {"phase": {"optimizer": S, ...}, "op": {"gemm": S, ...}, "wait": {"data": S, ...},
  /// "step": S}; what is in no op and no wait is the engine's.
  nlohmann::json breakdown() {
    const auto steps = static_cast<double>(std::max<int64_t>(1, num_steps_ - first_step_));
    nlohmann::json table = {{"step", seconds_ / steps}};
    const auto add = [&](const std::string& kind, const std::string& name, double seconds) {
      nlohmann::json& place = table[kind][name];
      place = (place.is_null() ? 0.0 : place.get<double>()) + seconds / steps;
    };
    for (const auto& [name, entry] : context_.trace.entries())
      add(name.substr(0, name.find('/')), name.substr(name.find('/') + 1), entry.seconds);
    for (const auto& [name, entry] : rank_->mesh().counters().entries)
      add("wait", name.substr(0, name.find('/')), entry.wait_seconds);
    for (const auto& [name, entry] : before_.entries)
      add("wait", name.substr(0, name.find('/')), -entry.wait_seconds);
    return table;
  }

 private:
  static constexpr uint64_t kSeed = 1234;

  Options options_;
  RankOptions rank_options_;
  Context context_;
  double gemm_rate_ = 0;
  std::optional<TrainingRank> rank_;
  std::unique_ptr<SampleSource> source_;
  int64_t num_steps_ = 0, first_step_ = 0;
  double seconds_ = 0;  ///< of the steps since first_step_
  CommCounters before_;
};

int64_t peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

ExitCode serve(const Options& options, Communicator& world) {
  // Opening a pipe waits for the other end, so both sides open them in the same order.
  std::ifstream commands(fmt::format("{}/in.{}", options.pipes, world.rank()));
  std::ofstream answers(fmt::format("{}/out.{}", options.pipes, world.rank()));
  const auto answer = [&](const nlohmann::json& fields) { answers << fields.dump() << std::endl; };

  Trainer trainer(options, world);
  answer({{"ready", "trireme"}});
  constexpr int64_t kWarmUpSteps = 3;
  int64_t num_steps = 0;
  for (std::string command; std::getline(commands, command) && command == "step";) {
    if (num_steps++ == kWarmUpSteps) trainer.start_breakdown();
    const auto [seconds, loss] = trainer.step();
    answer({{"seconds", seconds}, {"loss", loss}});
  }
  const nlohmann::json table = trainer.breakdown();
  const int64_t peak = peak_bytes();
  trainer.measure_gemms();
  answer({{"peak_bytes", peak}, {"gemm_flops", trainer.gemm_rate()}, {"breakdown", table}});
  return ExitCode::kOk;
}

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) {
  const auto options = trireme::bench::parse(argc, argv);
  const auto serve = [&](trireme::Communicator& world) { return trireme::bench::serve(options, world); };
  return static_cast<int>(trireme::run_in_world(serve));
}
