#include "core/data/pair_file.h"

#include <fmt/format.h>

#include "core/base/error.h"

namespace trireme {
namespace {

int64_t length_of(const IndexedDataset& dataset, int64_t document) {
  return dataset.document_begin(document + 1) - dataset.document_begin(document);
}

/// The document's tokens with `room_before` and `room_after` ids around them.
std::vector<int32_t> read(const IndexedDataset& dataset, int64_t document, int64_t vocab_size,
                          size_t room_before, size_t room_after) {
  const auto length = static_cast<size_t>(length_of(dataset, document));
  std::vector<int32_t> ids(room_before + length + room_after);
  dataset.copy_tokens(dataset.document_begin(document), std::span(ids).subspan(room_before, length),
                      vocab_size);
  return ids;
}

}  // namespace

PairFile::PairFile(const std::string& prefix, DataPart part, const DataConfig& config,
                   const SampleNeeds& needs)
    : prefix_(prefix),
      source_(source_prefix(prefix)),
      target_(target_prefix(prefix)),
      source_vocab_size_(needs.source_vocab_size),
      vocab_size_(needs.vocab_size),
      begin_id_(needs.roles.begin),
      end_id_(needs.roles.end),
      source_end_id_(needs.roles.source_end),
      range_(range_of(config, part, source_.num_documents())) {
  if (source_.num_documents() != target_.num_documents())
    throw DataError(fmt::format("{}: {} documents, but {} has {}; document i of both is pair i",
                                target_.prefix(), target_.num_documents(), source_.prefix(),
                                source_.num_documents()));
  for (int64_t i = range_.begin; i < range_.end; ++i)
    if (std::max(length_of(source_, i), length_of(target_, i)) < config.seq_length) kept_.push_back(i);
}

int64_t PairFile::num_tokens(int64_t example) const {
  const int64_t document = kept_[static_cast<size_t>(example)];
  return length_of(source_, document) + length_of(target_, document) + 2;
}

SampleContent PairFile::make(int64_t example) const {
  const int64_t document = kept_[static_cast<size_t>(example)];
  SampleContent pair;
  pair.source = read(source_, document, source_vocab_size_, 0, 1);
  pair.source.back() = source_end_id_;
  pair.tokens = read(target_, document, vocab_size_, 1, 0);
  pair.tokens.front() = begin_id_;
  pair.targets.assign(pair.tokens.begin() + 1, pair.tokens.end());
  pair.targets.push_back(end_id_);
  return pair;
}

std::string PairFile::description() const {
  return fmt::format("pairs {} {} from {} to {} taken {} begin {} end {} source end {}",
                     source_.fingerprint(), target_.fingerprint(), range_.begin, range_.end, num_examples(),
                     begin_id_, end_id_, source_end_id_);
}

}  // namespace trireme
