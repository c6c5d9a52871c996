#include "core/data/sample_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/data/indexed_source.h"
#include "core/data/synthetic_source.h"

namespace trireme {
namespace {

constexpr int64_t kSyntheticTrainingSamples = int64_t{1} << 40;
constexpr int64_t kSyntheticValidationSamples = 64;

void check(const DataConfig& config, int64_t vocab_size) {
  if (config.seq_length < 1)
    throw ConfigError(fmt::format("data.seq_length is {}, expected at least 1", config.seq_length));
  if (vocab_size < 1)
    throw ConfigError(fmt::format("the vocabulary has {} tokens, expected at least 1", vocab_size));
  if (!(config.validation_fraction >= 0 && config.validation_fraction < 1))
    throw ConfigError(fmt::format("data.validation_fraction is {}, expected 0 or more and less than 1",
                                  config.validation_fraction));
  if (config.source == DataSource::kIndexed && config.data_path.empty())
    throw ConfigError("data.data_path is empty; give the prefix of a data set made by `trireme prepare`");
  if (!config.data_weights.empty() && config.data_weights.size() != config.data_path.size())
    throw ConfigError(
        fmt::format("data.data_weights has {} entries, expected one for each of the {} entries of "
                    "data.data_path",
                    config.data_weights.size(), config.data_path.size()));
  double sum = 0;
  for (const double weight : config.data_weights) {
    if (!(weight >= 0) || std::isinf(weight))
      throw ConfigError(fmt::format("data.data_weights has {}, expected 0 or more", weight));
    sum += weight;
  }
  if (!config.data_weights.empty() && sum <= 0) throw ConfigError("data.data_weights are all 0");
}

/// The number of tokens that training may use; the rest is for validation.
int64_t training_tokens(const DataConfig& config, int64_t num_tokens) {
  if (!config.valid_data_path.empty()) return num_tokens;
  return static_cast<int64_t>(static_cast<double>(num_tokens) * (1.0 - config.validation_fraction));
}

void require_windows(const TokenWindows& file, const DataConfig& config, const char* what) {
  if (file.num_windows() > 0) return;
  throw DataError(fmt::format("{}: {} tokens for {} are fewer than one sample; data.seq_length {} needs {}",
                              file.dataset().prefix(), file.end() - file.begin(), what, config.seq_length,
                              config.seq_length + 1));
}

}  // namespace

std::unique_ptr<SampleSource> make_training_source(const DataConfig& config, int64_t vocab_size,
                                                   uint64_t seed) {
  check(config, vocab_size);
  if (config.source == DataSource::kSynthetic)
    return std::make_unique<SyntheticSource>(config, vocab_size, seed, 0, kSyntheticTrainingSamples);
  std::vector<TokenWindows> files;
  std::vector<int64_t> windows;
  for (const std::string& prefix : config.data_path) {
    auto dataset = std::make_shared<const IndexedDataset>(prefix);
    const int64_t end = training_tokens(config, dataset->num_tokens());
    files.emplace_back(std::move(dataset), 0, end, config.seq_length, vocab_size);
    require_windows(files.back(), config, "training");
    windows.push_back(files.back().num_windows());
  }
  // With the windows as weights, one epoch of the blend takes every window exactly once.
  Blend blend = config.data_weights.empty() ? Blend(windows) : Blend::from_fractions(config.data_weights);
  return std::make_unique<IndexedSource>(std::move(files), std::move(blend), seed, config);
}

std::unique_ptr<SampleSource> make_validation_source(const DataConfig& config, int64_t vocab_size,
                                                     uint64_t seed) {
  check(config, vocab_size);
  const bool own_files = !config.valid_data_path.empty();
  if (!own_files && config.validation_fraction == 0) return nullptr;
  if (config.source == DataSource::kSynthetic)
    return std::make_unique<SyntheticSource>(config, vocab_size, seed, 1, kSyntheticValidationSamples);
  std::vector<TokenWindows> files;
  for (const std::string& prefix : own_files ? config.valid_data_path : config.data_path) {
    auto dataset = std::make_shared<const IndexedDataset>(prefix);
    const int64_t end = dataset->num_tokens();
    const int64_t begin = own_files ? 0 : training_tokens(config, end);
    files.emplace_back(std::move(dataset), begin, end, config.seq_length, vocab_size);
  }
  if (std::none_of(files.begin(), files.end(),
                   [](const TokenWindows& file) { return file.num_windows() > 0; }))
    require_windows(files.front(), config, "validation");
  return std::make_unique<IndexedSource>(std::move(files), config);
}

}  // namespace trireme
