// Trireme's side of the comparison with PyTorch (compare.py): one training step on random tokens for every
// line `step` on a pipe. Takes the options of torch_peer.py.

#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/data/sample_source.h"
#include "launcher/commands/world.h"
#include "parallel/step/training_rank.h"
#include "tests/bench/gemm_rate.h"

namespace trireme::bench {
namespace {

struct Options {
  int64_t layers = 0, width = 0, heads = 0, vocabulary = 0, batch = 0, length = 0;
  int threads = 1;
  std::string dtype, pipes;
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
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  return options;
}

GptConfig model_config(const Options& options) {
  GptConfig config;
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
    rank_options_.micro_batch_size = options.batch;
    rank_options_.global_batch_size = options.batch * world.size();
    rank_options_.seq_length = options.length;
    rank_options_.seed = rank_options_.step.seed = kSeed;
    measure_gemms();
    rank_.emplace(context_, world, rank_options_);
    DataConfig data;
    data.source = DataSource::kSynthetic;
    data.seq_length = options.length;
    source_ = make_training_source(data, options.vocabulary, kSeed);
  }

  struct Result {
    double seconds, loss;
  };
  /// The batch is made before the clock starts.
  Result step() {
    const auto numbers = rank_->samples().micro_batch(num_steps_ * rank_options_.global_batch_size,
                                                      rank_->mesh().data().rank(), 0);
    Batch batch = source_->make_batch(context_.allocator, numbers);
    ++num_steps_;
    const auto start = std::chrono::steady_clock::now();
    const StepResult result = rank_->step().run(
        num_steps_, [&] { return std::move(batch); }, 3e-4, false);
    return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), result.loss};
  }

  /// Called before and after the steps: the better one stands, for the neighbours on the host come and go.
  void measure_gemms() {
    const double rate = measure_gemm_rate(context_, rank_options_.model, options_.batch * options_.length,
                                          rank_options_.precision.compute());
    gemm_rate_ = std::max(gemm_rate_, rate);
  }
  double gemm_rate() const { return gemm_rate_; }
  Trace& trace() { return context_.trace; }

 private:
  static constexpr uint64_t kSeed = 1234;

  Options options_;
  RankOptions rank_options_;
  Context context_;
  double gemm_rate_ = 0;
  std::optional<TrainingRank> rank_;
  std::unique_ptr<SampleSource> source_;
  int64_t num_steps_ = 0;
};

/// {"phase": {"forward": seconds a step, ...}, "op": {...}}
nlohmann::json breakdown(const Trace& trace, int64_t num_steps) {
  nlohmann::json table = nlohmann::json::object();
  for (const auto& [name, entry] : trace.entries()) {
    const size_t slash = name.find('/');
    if (slash != std::string::npos) {
      table[name.substr(0, slash)][name.substr(slash + 1)] = entry.seconds / static_cast<double>(num_steps);
    }
  }
  return table;
}

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
    if (num_steps++ == kWarmUpSteps) trainer.trace().clear();
    const auto [seconds, loss] = trainer.step();
    answer({{"seconds", seconds}, {"loss", loss}});
  }
  const auto table = breakdown(trainer.trace(), std::max<int64_t>(1, num_steps - kWarmUpSteps));
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
