#include "core/data/sentence_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/hash.h"
#include "core/data/permutation.h"
#include "core/data/token_masking.h"

namespace trireme {
namespace {

constexpr int kDrawsShift = 40, kPartShift = 39;  ///< of a site: above the number of the file

/// Until both have `max_tokens` together, the longer one (b where they are equal) loses its first or last
/// token.
void truncate(std::vector<int32_t>& a, std::vector<int32_t>& b, int64_t max_tokens, RandomDraws& draws) {
  struct Cut {
    std::vector<int32_t>& tokens;
    size_t begin, end;
    size_t size() const { return end - begin; }
  };
  Cut cut_a{a, 0, a.size()}, cut_b{b, 0, b.size()};
  while (static_cast<int64_t>(cut_a.size() + cut_b.size()) > max_tokens) {
    Cut& longer = cut_a.size() > cut_b.size() ? cut_a : cut_b;
    if (draws.chance(0.5))
      ++longer.begin;
    else
      --longer.end;
  }
  for (const Cut& cut : {cut_a, cut_b}) {
    cut.tokens.resize(cut.end);
    cut.tokens.erase(cut.tokens.begin(), cut.tokens.begin() + static_cast<std::ptrdiff_t>(cut.begin));
  }
}

void append(SampleContent& sample, const std::vector<int32_t>& tokens, int32_t sep, int32_t segment) {
  sample.tokens.insert(sample.tokens.end(), tokens.begin(), tokens.end());
  sample.tokens.push_back(sep);
  sample.segments.resize(sample.tokens.size(), segment);
}

}  // namespace

SentenceFile::SentenceFile(const std::string& prefix, DataPart part, const DataConfig& config,
                           const SampleNeeds& needs, uint64_t seed, int64_t number)
    : dataset_(prefix),
      part_(part),
      range_(range_of(config, part, dataset_.num_documents())),
      config_(config),
      needs_(needs),
      seed_(seed),
      number_(number),
      max_tokens_(config.seq_length - (needs.next_sentence ? 3 : 2)),
      cutter_(dataset_, range_, {max_tokens_, config.short_seq_prob, needs.next_sentence}) {
  pass_ = cut(0, 0);
  num_samples_ = pass_->size();
  pass_begins_ = {0, num_samples_};
}

RandomKey SentenceFile::key(Draws draws, int64_t pass) const {
  const uint64_t site = static_cast<uint64_t>(draws) << kDrawsShift |
                        static_cast<uint64_t>(part_ == DataPart::kValidation ? 1 : 0) << kPartShift |
                        static_cast<uint64_t>(number_);
  return RandomKey::make(seed_, RandomPurpose::kDataOrder, static_cast<uint64_t>(pass), site);
}

std::shared_ptr<const SentenceFile::Pass> SentenceFile::cut(int64_t number, int64_t begin) const {
  return std::make_shared<const Pass>(Pass{number, begin, cutter_.cut(key(Draws::kSpans, number))});
}

std::shared_ptr<const SentenceFile::Pass> SentenceFile::pass_of(int64_t index) const {
  const std::lock_guard lock(mutex_);
  while (pass_begins_.back() <= index) {
    pass_ = cut(static_cast<int64_t>(pass_begins_.size()) - 1, pass_begins_.back());
    pass_begins_.push_back(pass_->begin + pass_->size());
  }
  const auto next = std::upper_bound(pass_begins_.begin(), pass_begins_.end(), index);
  const int64_t number = next - pass_begins_.begin() - 1;
  if (pass_->number != number) pass_ = cut(number, *(next - 1));
  return pass_;
}

std::vector<int32_t> SentenceFile::read(int64_t first, int64_t end) const {
  const int64_t begin = dataset_.sequence_begin(first);
  std::vector<int32_t> tokens(static_cast<size_t>(dataset_.sequence_begin(end) - begin));
  dataset_.copy_tokens(begin, tokens, needs_.vocab_size);
  // A text that spells them must not look like a sample's own.
  std::erase_if(tokens,
                [this](int32_t token) { return token == needs_.roles.cls || token == needs_.roles.sep; });
  return tokens;
}

std::vector<int32_t> SentenceFile::read_random(const SentenceSpan& span, size_t length_a,
                                               RandomDraws& draws) const {
  int64_t document = draws.below(cutter_.num_documents() - 1);
  if (document >= span.document) ++document;
  const int64_t begin = cutter_.first_sentence(document), end = cutter_.end_sentence(document);
  const int64_t first = begin + draws.below(end - begin);
  const int64_t length = span.target_length - static_cast<int64_t>(length_a);
  int64_t last = first + 1;
  while (last < end && dataset_.sequence_begin(last) - dataset_.sequence_begin(first) < length) ++last;
  return read(first, last);
}

SampleContent SentenceFile::make(int64_t index) const {
  const std::shared_ptr<const Pass> pass = pass_of(index);
  int64_t place = index - pass->begin;
  if (part_ == DataPart::kTraining)
    place = Permutation(pass->size(), key(Draws::kOrder, pass->number))(place);
  const SentenceSpan& span = pass->spans[static_cast<size_t>(place)];
  RandomDraws draws(key(Draws::kContent, pass->number), place);

  std::vector<int32_t> a = read(span.first, span.first + span.num_a);
  std::vector<int32_t> b = span.random_next
                               ? read_random(span, a.size(), draws)
                               : read(span.first + span.num_a, span.first + span.num_a + span.num_b);
  truncate(a, b, max_tokens_, draws);
  SampleContent sample;
  sample.tokens = {needs_.roles.cls};
  append(sample, a, needs_.roles.sep, 0);
  if (needs_.next_sentence) {
    append(sample, b, needs_.roles.sep, 1);
    sample.label = span.random_next ? 1 : 0;
  }
  mask_tokens(sample, config_, needs_.roles, draws);
  return sample;
}

std::string SentenceFile::description() const {
  const TokenRoles& roles = needs_.roles;
  const std::string pieces(roles.continues_word.begin(), roles.continues_word.end());
  return fmt::format(
      "sentences {} from {} to {} seq_length {} short {} next {} mask {} most {} words {} cls {} sep {} mask "
      "{} "
      "tokens {}{}",
      dataset_.fingerprint(), range_.begin, range_.end, config_.seq_length, config_.short_seq_prob,
      needs_.next_sentence, config_.mask_prob, config_.max_predictions_per_seq,
      config_.whole_word_mask ? xxh3_128_hex(pieces) : "no", roles.cls, roles.sep, roles.mask,
      roles.num_tokens, config_.mask_by_attention ? " hidden" : "");
}

}  // namespace trireme
