#include "core/data/sample_source.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/base/error.h"
#include "core/base/idle_fields.h"
#include "core/data/data_part.h"
#include "core/data/example_source.h"
#include "core/data/indexed_source.h"
#include "core/data/labelled_file.h"
#include "core/data/masked_source.h"
#include "core/data/pair_file.h"
#include "core/data/synthetic_source.h"

namespace trireme {
namespace {

constexpr int64_t kSyntheticTrainingSamples = int64_t{1} << 40;
constexpr int64_t kSyntheticValidationSamples = 64;

void check(const DataConfig& config, const SampleNeeds& needs) {
  if (config.seq_length < 1)
    throw ConfigError(fmt::format("data.seq_length is {}, expected at least 1", config.seq_length));
  if (needs.vocab_size < 1)
    throw ConfigError(fmt::format("the vocabulary has {} tokens, expected at least 1", needs.vocab_size));
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
  if (const auto errors = sample_errors(config, needs); !errors.empty())
    throw ConfigError(fmt::format("{}", fmt::join(errors, "\n")));
}

/// With the samples as weights, one epoch of the blend takes every sample exactly once.
Blend blend_of(const DataConfig& config, const std::vector<int64_t>& counts) {
  return config.data_weights.empty() ? Blend(counts) : Blend::from_fractions(config.data_weights);
}

SampleOrder order_of(const DataConfig& config, DataPart part, std::vector<int64_t> counts, uint64_t seed) {
  if (part == DataPart::kValidation) return SampleOrder(std::move(counts));
  Blend blend = blend_of(config, counts);
  return SampleOrder(std::move(counts), std::move(blend), seed);
}

/// In training every file must have samples, in validation one of them.
void require_samples(DataPart part, const std::vector<int64_t>& counts,
                     const std::function<std::string(size_t)>& explain) {
  const auto empty = std::find(counts.begin(), counts.end(), 0);
  if (empty == counts.end()) return;
  if (part == DataPart::kValidation &&
      std::any_of(counts.begin(), counts.end(), [](int64_t count) { return count > 0; }))
    return;
  throw DataError(explain(static_cast<size_t>(empty - counts.begin())));
}

std::unique_ptr<SampleSource> make_windows(DataPart part, const DataConfig& config, const SampleNeeds& needs,
                                           uint64_t seed) {
  std::vector<TokenWindows> files;
  std::vector<int64_t> counts;
  for (const std::string& prefix : prefixes_of(config, part)) {
    auto dataset = std::make_shared<const IndexedDataset>(prefix);
    const DataRange range = range_of(config, part, dataset->num_tokens());
    files.emplace_back(std::move(dataset), range.begin, range.end, config.seq_length, needs.vocab_size);
    counts.push_back(files.back().num_windows());
  }
  require_samples(part, counts, [&](size_t file) {
    return fmt::format("{}: {} tokens for {} are fewer than one sample; data.seq_length {} needs {}",
                       files[file].dataset().prefix(), files[file].end() - files[file].begin(), name_of(part),
                       config.seq_length, config.seq_length + 1);
  });
  return std::make_unique<IndexedSource>(std::move(files), order_of(config, part, std::move(counts), seed),
                                         config);
}

std::unique_ptr<SampleSource> make_examples(DataPart part, const DataConfig& config, const SampleNeeds& needs,
                                            uint64_t seed, ExampleSource::Files files) {
  std::vector<int64_t> counts;
  for (const auto& file : files) counts.push_back(file->num_examples());
  require_samples(part, counts, [&](size_t file) {
    return fmt::format("{}: has no examples for {}{}", files[file]->prefix(), name_of(part),
                       files[file]->num_left_out() > 0
                           ? fmt::format("; {} are longer than data.seq_length {}",
                                         files[file]->num_left_out(), config.seq_length)
                           : "");
  });
  const bool training = part == DataPart::kTraining;
  return std::make_unique<ExampleSource>(std::move(files), order_of(config, part, std::move(counts), seed),
                                         training ? std::optional<uint64_t>(seed) : std::nullopt, config,
                                         needs);
}

ExampleSource::Files open_pairs(DataPart part, const DataConfig& config, const SampleNeeds& needs) {
  ExampleSource::Files files;
  for (const std::string& prefix : prefixes_of(config, part))
    files.push_back(std::make_unique<PairFile>(prefix, part, config, needs));
  return files;
}

/// A class must mean the same in every file: that of validation too.
ExampleSource::Files open_labelled(DataPart part, const DataConfig& config, const SampleNeeds& needs) {
  ExampleSource::Files files;
  const std::string& first = config.data_path.front();
  const std::vector<std::string> classes = read_labels(labels_path(first)).classes;
  for (const std::string& prefix : prefixes_of(config, part)) {
    auto file = std::make_unique<LabelledFile>(prefix, part, config, needs);
    if (file->classes() != classes)
      throw DataError(
          fmt::format("{}: has the classes {}, but {} has {}; both must have the same, in the "
                      "same order",
                      labels_path(prefix), fmt::join(file->classes(), ", "), labels_path(first),
                      fmt::join(classes, ", ")));
    files.push_back(std::move(file));
  }
  return files;
}

std::unique_ptr<SampleSource> make_masked(DataPart part, const DataConfig& config, const SampleNeeds& needs,
                                          uint64_t seed) {
  std::vector<std::unique_ptr<const SentenceFile>> files;
  std::vector<int64_t> counts;
  for (const std::string& prefix : prefixes_of(config, part)) {
    const auto number = static_cast<int64_t>(files.size());
    files.push_back(std::make_unique<SentenceFile>(prefix, part, config, needs, seed, number));
    counts.push_back(files.back()->num_samples());
  }
  require_samples(part, counts, [&](size_t file) {
    return fmt::format("{}: has no document for {}", files[file]->prefix(), name_of(part));
  });
  std::optional<Blend> blend;
  if (part == DataPart::kTraining) blend = blend_of(config, counts);
  return std::make_unique<MaskedSource>(std::move(files), std::move(blend), seed, config, needs);
}

std::unique_ptr<SampleSource> make_source(DataPart part, const DataConfig& config, const SampleNeeds& needs,
                                          uint64_t seed) {
  if (config.source == DataSource::kSynthetic)
    return std::make_unique<SyntheticSource>(
        config, needs, seed, part == DataPart::kTraining ? 0 : 1,
        part == DataPart::kTraining ? kSyntheticTrainingSamples : kSyntheticValidationSamples);
  switch (needs.objective) {
    case Objective::kCausal:
      break;
    case Objective::kMasked:
      return make_masked(part, config, needs, seed);
    case Objective::kTranslation:
      return make_examples(part, config, needs, seed, open_pairs(part, config, needs));
    case Objective::kClassification:
      return make_examples(part, config, needs, seed, open_labelled(part, config, needs));
  }
  return make_windows(part, config, needs, seed);
}

}  // namespace

namespace {

/// What decides which keys of section `data` mean something.
struct DataUse {
  const DataConfig& data;
  Objective objective;

  bool is(Objective one) const { return objective == one; }
};

const IdleFields<DataUse> kIdle[] = {
    {{"target_tokenizer_path"},
     [](const DataUse& use) { return !use.is(Objective::kTranslation); },
     "but for translation"},
    {{"document_mask"},
     [](const DataUse& use) { return !use.is(Objective::kCausal); },
     "with samples of their own length, which are no packed documents"},
    {{"pad_to_seq_length", "pad_to_multiple"},
     [](const DataUse& use) { return use.is(Objective::kCausal); },
     "with a causal language model: nothing is padded"},
    {{"pad_to_multiple"},
     [](const DataUse& use) { return use.data.pad_to_seq_length; },
     "with pad_to_seq_length"},
    {{"length_bucket"},
     [](const DataUse& use) { return use.is(Objective::kCausal) || use.is(Objective::kMasked); },
     "but for translation and classification"},
    {{"mask_prob", "max_predictions_per_seq", "whole_word_mask", "mask_by_attention", "short_seq_prob"},
     [](const DataUse& use) { return !use.is(Objective::kMasked); },
     "but for BERT's masked language model"},
    // 0 is what happens.
    {{"validation_fraction"},
     [](const DataUse& use) {
       return !use.data.valid_data_path.empty() && use.data.validation_fraction != 0;
     },
     "with valid_data_path"},
};

}  // namespace

std::vector<std::string> sample_errors(const DataConfig& config, const SampleNeeds& needs) {
  std::vector<std::string> errors =
      idle_field_errors("data", config, DataConfig(), DataUse{config, needs.objective},
                        std::span<const IdleFields<DataUse>>(kIdle));
  const auto expect = [&](bool holds, const char* key, auto given, const std::string& expected) {
    if (!holds) errors.push_back(fmt::format("data.{}: given {}, expected {}", key, given, expected));
  };
  expect(config.pad_to_multiple > 0 && config.seq_length % config.pad_to_multiple == 0, "pad_to_multiple",
         config.pad_to_multiple, fmt::format("a divisor of data.seq_length {}", config.seq_length));
  expect(!needs.reads_order || !config.mask_by_attention, "mask_by_attention", config.mask_by_attention,
         "false: hidden tokens stand behind the others, and relative, relative_xl and alibi positions count "
         "places");
  const bool masked = needs.objective == Objective::kMasked;
  const int64_t least =
      masked ? (needs.next_sentence ? 5 : 3) : (needs.objective == Objective::kClassification ? 3 : 1);
  expect(config.seq_length >= least, "seq_length", config.seq_length,
         fmt::format("at least {}: the special tokens and a token between them", least));
  return errors;
}

std::unique_ptr<SampleSource> make_training_source(const DataConfig& config, const SampleNeeds& needs,
                                                   uint64_t seed) {
  check(config, needs);
  return make_source(DataPart::kTraining, config, needs, seed);
}

std::unique_ptr<SampleSource> make_validation_source(const DataConfig& config, const SampleNeeds& needs,
                                                     uint64_t seed) {
  check(config, needs);
  if (config.valid_data_path.empty() && config.validation_fraction == 0) return nullptr;
  return make_source(DataPart::kValidation, config, needs, seed);
}

}  // namespace trireme
