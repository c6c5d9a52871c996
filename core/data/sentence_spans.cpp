#include "core/data/sentence_spans.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/data/random_draws.h"

namespace trireme {

SentenceCutter::SentenceCutter(const IndexedDataset& dataset, DataRange range, const Options& options)
    : dataset_(dataset), options_(options) {
  for (int64_t i = range.begin; i < range.end; ++i)
    if (dataset_.first_sequence(i) < dataset_.first_sequence(i + 1)) documents_.push_back(i);
  for (const int64_t document : documents_)
    for (int64_t i = dataset_.first_sequence(document); i < dataset_.first_sequence(document + 1); ++i)
      if (dataset_.sequence_begin(i) == dataset_.sequence_begin(i + 1))
        throw DataError(
            fmt::format("{}: sequence {} has no tokens, expected a sentence; `trireme prepare "
                        "--sentences` writes such files",
                        idx_path(dataset_.prefix()), i));
  if (options_.next_sentence && !documents_.empty()) require_neighbours();
}

void SentenceCutter::require_neighbours() const {
  if (num_documents() < 2)
    throw DataError(
        fmt::format("{}: 1 document, expected at least 2: a random next sentence comes from another; see "
                    "model.next_sentence_head and data.validation_fraction",
                    idx_path(dataset_.prefix())));
  for (int64_t i = 0; i < num_documents(); ++i)
    if (end_sentence(i) - first_sentence(i) > 1) return;
  throw DataError(
      fmt::format("{}: no document has more than one sequence, expected one for each sentence; use `trireme "
                  "prepare --sentences`, or model.next_sentence_head: false",
                  idx_path(dataset_.prefix())));
}

int64_t SentenceCutter::first_sentence(int64_t document) const {
  return dataset_.first_sequence(documents_[static_cast<size_t>(document)]);
}

int64_t SentenceCutter::end_sentence(int64_t document) const {
  return dataset_.first_sequence(documents_[static_cast<size_t>(document)] + 1);
}

std::vector<SentenceSpan> SentenceCutter::cut(RandomKey key) const {
  std::vector<SentenceSpan> spans;
  for (int64_t i = 0; i < num_documents(); ++i) cut_document(i, key, spans);
  return spans;
}

void SentenceCutter::cut_document(int64_t document, RandomKey key, std::vector<SentenceSpan>& spans) const {
  RandomDraws draws(key, document);
  const int64_t end = end_sentence(document), max_tokens = options_.max_tokens;
  for (int64_t first = first_sentence(document); first < end;) {
    const bool is_short = draws.chance(options_.short_seq_prob) && max_tokens > 2;
    const int64_t target = is_short ? 2 + draws.below(max_tokens - 1) : max_tokens;
    const int64_t begin = dataset_.sequence_begin(first);
    int64_t last = first + 1;  // behind the sample's last sentence
    while (last < end && dataset_.sequence_begin(last) - begin < target) ++last;

    const auto count = static_cast<int32_t>(last - first);
    SentenceSpan span{document, first, count, 0, static_cast<int32_t>(target), false};
    if (options_.next_sentence) {
      if (count > 1) span.num_a = 1 + static_cast<int32_t>(draws.below(count - 1));
      span.random_next = count == 1 || draws.chance(0.5);
      if (!span.random_next) span.num_b = count - span.num_a;
    }
    spans.push_back(span);
    first += span.num_a + span.num_b;
  }
}

}  // namespace trireme
