// `trireme generate [RUN] --prompt TEXT`
#include <fmt/format.h>
#include <omp.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "core/base/error.h"
#include "core/generation/generate.h"
#include "core/text/tokenizer.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/trained_model.h"
#include "launcher/commands/usage.h"
#include "launcher/config/load.h"
#include "parallel/checkpoint/checkpoint_store.h"
#include "parallel/checkpoint/inspection.h"

namespace trireme {
namespace {

struct GenerateOptions {
  std::string run;
  std::string checkpoint;
  std::string tokenizer;
  std::string prompt;
  int64_t max_tokens = 200;
  bool greedy = false;
  int64_t num_threads = 0;
  SamplingOptions sampling;
};

std::string step_of(const GenerateOptions& options) {
  if (!options.checkpoint.empty()) return find_step(options.checkpoint);
  if (options.run.empty())
    throw ConfigError("generate: give a run (its file or output folder) or --checkpoint PATH");
  return find_step(load_run(options.run).training.output_dir);
}

std::string tokenizer_path_of(const GenerateOptions& options, const DataConfig& data) {
  if (!options.tokenizer.empty()) return options.tokenizer;
  if (!data.tokenizer_path.empty()) return data.tokenizer_path;
  if (data.data_path.empty())
    throw ConfigError("the run has no tokenizer (data.source: synthetic); give one with --tokenizer");
  return default_tokenizer_path(data.data_path.front());
}

std::vector<int32_t> prompt_tokens(const std::string& prompt, const Tokenizer& tokenizer) {
  std::vector<int32_t> tokens = tokenizer.encode(prompt, SpecialTokens::kParse);
  // A document begins where another has ended.
  if (tokens.empty() && tokenizer.end_of_document_id()) tokens.push_back(*tokenizer.end_of_document_id());
  return tokens;
}

void print_now(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

ExitCode generate_text(const GenerateOptions& options) {
  check(options.sampling);
  const std::string step = step_of(options);
  const RunConfig config = parse_run_config(read_training_state(step).config_json, step + "/manifest.json");
  const std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(tokenizer_path_of(options, config.data));

  Context context;
  context.num_threads = options.num_threads > 0 ? static_cast<int>(options.num_threads) : omp_get_num_procs();
  omp_set_num_threads(context.num_threads);
  TrainedModel trained(context, config, step);

  GenerationOptions generation{.max_new_tokens = options.max_tokens,
                               .context_length = config.model.max_position_embeddings,
                               .sampling = options.sampling,
                               .stop_token = tokenizer->end_of_document_id()};
  if (options.greedy) generation.sampling.temperature = 0;
  print_now(options.prompt);
  generate(context, *trained.model, prompt_tokens(options.prompt, *tokenizer), generation,
           [&](int32_t token) {
             print_now(tokenizer->decode({&token, 1}, SpecialTokens::kParse));
             return true;
           });
  print_now("\n");
  return ExitCode::kOk;
}

}  // namespace

void add_generate(CLI::App& app, CommandAction& action) {
  CLI::App& command = *app.add_subcommand("generate", "Continue a text with a trained model");
  command.footer(
      "Prints the prompt and its continuation as it is made; ends at the end of a document.\n\n"
      "  trireme generate runs/shakespeare-char --prompt 'ROMEO:' --temperature 0.8\n"
      "  trireme generate --checkpoint runs/run/checkpoints --prompt 'int main(' --greedy");
  const auto options = std::make_shared<GenerateOptions>();
  SamplingOptions& sampling = options->sampling;
  command.add_option("RUN", options->run, "Run file, or the output folder of a run")
      ->type_name("FILE|FOLDER");
  command.add_option("--checkpoint", options->checkpoint, "Step folder, or a folder of steps: the newest")
      ->type_name("PATH");
  command.add_option("--tokenizer", options->tokenizer, "Tokenizer, where not the run's")->type_name("PATH");
  command.add_option("--prompt", options->prompt, "Text to continue; empty: a new document")
      ->type_name("TEXT");
  command.add_option("--max-tokens,--max-new-tokens", options->max_tokens, "Tokens to make at most")
      ->check(at_least(0))
      ->capture_default_str();
  const auto temperature =
      command.add_option("--temperature", sampling.temperature, "Divides the logits; 0: greedy")
          ->capture_default_str();
  command.add_option("--top-k", sampling.top_k, "Draw from the k most probable tokens; 0: all")
      ->capture_default_str();
  command.add_option("--top-p", sampling.top_p, "Draw from the fewest tokens of this total probability")
      ->capture_default_str();
  command.add_flag("--greedy", options->greedy, "Always the most probable token")->excludes(temperature);
  command.add_option("--seed", sampling.seed, "Another seed, another text")->capture_default_str();
  command.add_option("--threads", options->num_threads, "OpenMP threads; 0: one a core")
      ->check(at_least(0))
      ->capture_default_str();
  command.callback([&action, options] { action = [options] { return generate_text(*options); }; });
}

}  // namespace trireme
