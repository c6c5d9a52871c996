// `trireme generate [RUN] --prompt TEXT`
#include <fmt/format.h>
#include <omp.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>

#include "core/base/error.h"
#include "core/generation/generate.h"
#include "core/models/registry.h"
#include "core/text/text_behind.h"
#include "core/text/tokenizer.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/line_translator.h"
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
  std::string input;
  int64_t max_tokens = 200;
  bool greedy = false;
  bool ema = false;
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

/// A trained model on this process's threads.
struct Generator {
  explicit Generator(const GenerateOptions& options)
      : step(step_of(options)),
        config(parse_run_config(read_training_state(step).config_json, step + "/manifest.json")) {
    if (!family_named(config.model.family).generates)
      throw ConfigError(fmt::format("generate: a model of family {} makes no text", config.model.family));
    context.num_threads =
        options.num_threads > 0 ? static_cast<int>(options.num_threads) : omp_get_num_procs();
    omp_set_num_threads(context.num_threads);
    trained = std::make_unique<TrainedModel>(context, config, step,
                                             options.ema ? Weights::kAverages : Weights::kTrained);
  }

  std::string step;
  RunConfig config;
  Context context;
  std::unique_ptr<TrainedModel> trained;
};

SamplingOptions sampling_of(const GenerateOptions& options) {
  SamplingOptions sampling = options.sampling;
  if (options.greedy) sampling.temperature = 0;
  return sampling;
}

void continue_prompt(Generator& generator, const GenerateOptions& options) {
  if (!options.input.empty())
    throw ConfigError("generate: --input is for an encoder-decoder, which translates lines; give --prompt");
  const std::unique_ptr<Tokenizer> loaded = load_tokenizer(tokenizer_path_of(options, generator.config.data));
  const Tokenizer& tokenizer = *loaded;
  const GenerationOptions generation{.max_new_tokens = options.max_tokens,
                                     .context_length = generator.config.model.max_position_embeddings,
                                     .sampling = sampling_of(options),
                                     .stop_token = tokenizer.end_of_document_id()};
  print_now(options.prompt);
  const std::vector<int32_t> prompt = prompt_tokens(options.prompt, tokenizer);
  std::optional<int32_t> previous =
      prompt.empty() || options.prompt.empty() ? std::nullopt : std::optional(prompt.back());
  generate(generator.context, *generator.trained->model, prompt, generation, [&](int32_t token) {
    print_now(text_behind(tokenizer, previous, token));
    previous = token;
    return true;
  });
  print_now("\n");
}

void translate_prompt(Generator& generator, const GenerateOptions& options) {
  std::vector<std::string> lines = {options.prompt};
  if (!options.input.empty()) lines = read_lines(options.input);
  DataConfig data = generator.config.data;
  if (!options.tokenizer.empty()) data.tokenizer_path = options.tokenizer;
  LineTranslator translator(generator.context, *generator.trained->model,
                            load_tokenizers(data, Objective::kTranslation),
                            generator.config.model.max_position_embeddings, sampling_of(options));
  for (const std::string& line : translator.translate(lines)) fmt::print("{}\n", line);
}

ExitCode generate_text(const GenerateOptions& options) {
  check(options.sampling);
  Generator generator(options);
  if (generator.config.model.encoder_num_layers > 0)
    translate_prompt(generator, options);
  else
    continue_prompt(generator, options);
  return ExitCode::kOk;
}

}  // namespace

void add_generate(CLI::App& app, CommandAction& action) {
  CLI::App& command = *app.add_subcommand("generate", "Continue a text with a trained model");
  command.footer(
      "Prints the prompt and its continuation as it is made; ends at the end of a document. An "
      "encoder-decoder\n"
      "prints translations, one a line.\n\n"
      "  trireme generate runs/shakespeare-char --prompt 'ROMEO:' --temperature 0.8\n"
      "  trireme generate --checkpoint runs/run/checkpoints --prompt 'int main(' --greedy\n"
      "  trireme generate runs/multi30k --input test.de --greedy > test.out");
  const auto options = std::make_shared<GenerateOptions>();
  SamplingOptions& sampling = options->sampling;
  command.add_option("RUN", options->run, "Run file, or the output folder of a run")
      ->type_name("FILE|FOLDER");
  command.add_option("--checkpoint", options->checkpoint, "Step folder, or a folder of steps: the newest")
      ->type_name("PATH");
  command.add_flag("--ema", options->ema, kEmaHelp);
  command.add_option("--tokenizer", options->tokenizer, "Tokenizer, where not the run's")->type_name("PATH");
  const auto prompt = command
                          .add_option("--prompt", options->prompt,
                                      "Text to continue (empty: a new document), or to translate")
                          ->type_name("TEXT");
  command.add_option("--input", options->input, "Text file: an encoder-decoder translates each of its lines")
      ->type_name("FILE")
      ->excludes(prompt);
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
